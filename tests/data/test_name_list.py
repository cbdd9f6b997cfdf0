"""Lists of column names as they are typed."""

import pytest

from steploom.data.name_list import join_names, split_names
from steploom.errors import OptionError


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("load", ("load",)),
        ("a,b", ("a", "b")),
        (" a , b ,", ("a", "b")),
        ("", ()),
        (",", ()),
        ('"a,b"', ("a,b",)),
        ('"a,b", c', ("a,b", "c")),
        ('pipe 5",b', ('pipe 5"', "b")),
        ('"5"" pipe"', ('5" pipe',)),
        ("PM2.5 (µg/m³)", ("PM2.5 (µg/m³)",)),
    ],
)
def test_names(typed: str, names: tuple[str, ...]) -> None:
    assert split_names(typed) == names
    assert split_names(join_names(names)) == names


@pytest.mark.parametrize("typed", ['"a,b', '"a"b'])
def test_quotation_marks_come_in_pairs(typed: str) -> None:
    with pytest.raises(OptionError, match="quotation marks"):
        split_names(typed)
