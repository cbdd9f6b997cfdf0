"""Why a time stamp cannot be read, and what to write instead."""

from __future__ import annotations

import re

from steploom.data.series.table_file import shown

__all__ = ["FIRST_YEAR", "HINT", "LAST_YEAR", "fault_of"]

FIRST_YEAR, LAST_YEAR = 1678, 2261
"""Whole years that 64 bits of nanoseconds can count."""

HINT = "Write times as 2014-12-31 or 2014-12-31 23:00:00"
_YEAR = re.compile(r"(\d{4})-|(\d{4})[/.]|\d{1,2}[/.-]\d{1,2}[/.-](\d{4})|(\d{4})(?:\d{2}){0,2}$")
_SHORT_YEAR = re.compile(r"\d{1,2}([/.-])\d{1,2}\1\d{1,2}( |T|$)")


def fault_of(text: str, known_form: bool) -> tuple[str, str]:
    """What is wrong with a time, and a hint.

    Args:
        text: a text that could not be read as a time.
        known_form: whether it has one of the forms that can be read.
    """
    what = f"expected a date and time, found {shown(text)}"
    year = next((int(y) for y in match.groups() if y), None) if (match := _YEAR.match(text)) else None
    if year is not None and not FIRST_YEAR <= year <= LAST_YEAR:
        return f"expected a year from {FIRST_YEAR} to {LAST_YEAR}, found {shown(text)}", "Check the year"
    if _SHORT_YEAR.match(text):
        return what, "Write the year with four digits: 2014-12-31"
    if re.search(r"[ T]24[:.h]00", text):
        return what, "Write midnight as 00:00 of the day that begins"
    return what, f"There is no such day or time. {HINT}" if known_form else HINT
