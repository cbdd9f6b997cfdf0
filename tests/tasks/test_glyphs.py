"""What no font can draw."""

import logging
import warnings

import pytest

from steploom.tasks.glyphs import missing_glyphs_said, scripts_of
from steploom.tasks.picture import fonts_for, new_figure, write_picture

# No font but those made for it has it; no machine of a user is likely to.
LINEAR_B = "\U00010000\U00010001"


@pytest.mark.parametrize(
    ("characters", "scripts"),
    [
        ("ंहिन्दी।", ["Devanagari"]),
        ("中文かなカナｶ", ["Hiragana", "Katakana", "Chinese"]),
        ("한글\u1100", ["Hangul"]),
        ("ไทย ខ្មែរ", ["Thai", "Khmer", "other signs"]),
        ("አማርኛ", ["Ethiopic"]),
        ("😀ᓀ", ["Canadian", "other signs"]),
        (LINEAR_B, ["Linear B"]),
        ("\ue000", ["other signs"]),
    ],
)
def test_characters_are_of_a_script(characters, scripts):
    found = scripts_of(characters)
    assert list(found) == scripts and set().union(*found.values()) == set(characters)
    assert found.get("Devanagari", "ह")[0].isalpha()


def test_a_script_without_a_font_is_named_once(tmp_path, caplog):
    figure = new_figure(3, 2)
    axes = figure.add_subplot()
    axes.set_title(LINEAR_B, family=fonts_for("DejaVu Sans"))
    axes.set_xlabel(LINEAR_B, family=fonts_for("DejaVu Sans"))
    with caplog.at_level(logging.INFO, logger="steploom"):
        write_picture(figure, tmp_path / "a.png", 50)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"no font of this machine was found for Linear B ({' '.join(LINEAR_B)})" in caplog.text
    caplog.clear()
    axes.set_title("a")
    axes.set_xlabel("é")
    write_picture(figure, tmp_path / "b.png", 50)
    assert not caplog.records


def test_other_warnings_are_passed_on():
    with pytest.warns(UserWarning, match="something else"), missing_glyphs_said():
        warnings.warn("something else", UserWarning, stacklevel=1)
