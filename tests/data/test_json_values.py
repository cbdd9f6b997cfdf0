"""Values read from JSON."""

import pytest

from steploom.data.json_values import read_text, read_texts


def test_texts_pass() -> None:
    assert read_text("a", "name") == "a"
    assert read_texts(["a", ""], "names") == ("a", "")


@pytest.mark.parametrize("value", [None, 1, True, 1.5, ["a"], {"a": "b"}])
def test_anything_else_is_named(value: object) -> None:
    with pytest.raises(TypeError, match="'name' should be text, found"):
        read_text(value, "name")
    with pytest.raises(TypeError, match="'names' should be text, found"):
        read_texts(["a", value], "names")


@pytest.mark.parametrize("values", [None, "abc", {"a": "b"}, 3])
def test_what_is_no_list_is_named(values: object) -> None:
    with pytest.raises(TypeError, match="'names' should be a list, found"):
        read_texts(values, "names")
