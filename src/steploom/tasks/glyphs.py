"""What no font of this machine can draw, and its name for people."""

from __future__ import annotations

import logging
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = ["missing_glyphs_said", "scripts_of"]

logger = logging.getLogger("steploom")

_GLYPH = re.compile(r"Glyph (\d+) \(.*\) missing from (?:current )?font")
# Unicode names a letter by its script and then its kind: DEVANAGARI LETTER HA, CJK UNIFIED IDEOGRAPH-4E2D.
_SCRIPT = re.compile(
    r"(?:HALFWIDTH |FULLWIDTH )?(.+?) (?:CAPITAL|SMALL|LETTER|SYLLAB\w+|UNIFIED|COMPATIBILITY|IDEOGRAPH\w*|IDEOGRAPHIC|"
    r"VOWEL|CONSONANT|INDEPENDENT|SUBJOINED|SIGN|DIGIT|TONE|CHARACTER|DANDA|DOUBLE|CHOSEONG|JUNGSEONG|JONGSEONG)\b"
)
_NAMES = {"Cjk": "Chinese"}
_SIGNS = "other signs"
_SHOWN = 3


@contextmanager
def missing_glyphs_said() -> Iterator[None]:
    """Says once, at the end, which scripts were drawn as boxes; the picture is right but for these."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", message=_GLYPH.pattern)
        yield
    missing: set[str] = set()
    for warning in caught:
        found = _GLYPH.match(str(warning.message))
        if found is None:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        else:
            missing.add(chr(int(found[1])))
    if missing:
        shown = ", ".join(f"{script} ({' '.join(some[:_SHOWN])})" for script, some in scripts_of(missing).items())
        logger.warning(f"no font of this machine was found for {shown}: boxes stand in the picture. Install one")


def scripts_of(characters: Iterable[str]) -> dict[str, list[str]]:
    """The characters by script, letters first; those that belong to none, or to none of the letters, are last."""
    found: dict[str, list[str]] = {}
    others = []
    for _, character in sorted((unicodedata.category(c)[0] != "L", c) for c in set(characters)):
        name = _SCRIPT.match(unicodedata.name(character, ""))
        script = "" if name is None else _NAMES.get(name[1].title(), name[1].title())
        if script in found or (script and unicodedata.category(character)[0] in "LMN"):
            found.setdefault(script, []).append(character)
        else:
            others.append(character)
    return found | ({_SIGNS: others} if others else {})
