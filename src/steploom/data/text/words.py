"""Running text into words and punctuation."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

__all__ = ["letter_marks", "lower_case", "split_words"]

_LONGEST_RUN = 3


def split_words(text: str) -> list[str]:
    """The words and the punctuation of a text, in their order.

    A word is a run of letters and digits, with apostrophes and hyphens between them: `don't`, `well-known`. A number
    keeps the points, commas and colons between its digits: `1,299.50`, `10:30`. Every other character is a word of its
    own, and a run of the same one is a single word of at most three: `...`, `!!!`. White space only separates.

        split_words('He said: "Don\\'t!!!!"')  ->  He  said  :  "  Don't  !!!  "
    """
    return [
        found[0] if found[1] is None else found[0][:_LONGEST_RUN] for found in _pattern().finditer(text) if found[0]
    ]


def lower_case(text: str) -> str:
    """The text in lower case, where the dotted capital I of Turkish, composed or not, is a plain i.

    Python makes an i with a dot above of it, which is no letter of Turkish: "İstanbul" and "istanbul" would be two
    words. I becomes i in every language.
    """
    return text.replace("\u0130", "i").replace("I\u0307", "i").lower()


@cache
def letter_marks() -> str:
    r"""What stands on or between the letters of many scripts and is no \w of Python: the marks and the two joiners."""
    marks = "".join(chr(n) for n in range(0x300, 0x1E950) if unicodedata.category(chr(n)).startswith("M"))
    return f"{marks}\u200c\u200d"


@cache
def _pattern() -> re.Pattern[str]:
    letter = rf"[\w{letter_marks()}]"
    return re.compile(rf"\d+(?:[.,:]\d+)+(?!{letter})|{letter}+(?:['’-]{letter}+)*|([^\s])\1*")
