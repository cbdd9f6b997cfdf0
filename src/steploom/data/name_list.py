"""Lists of column names as a user types them: separated by commas, a name with a comma in quotation marks."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from steploom.errors import OptionError

__all__ = ["join_names", "names_shown", "split_names"]


def split_names(typed: str, option: str = "") -> tuple[str, ...]:
    """The names in `typed`: `a,b` is two, `"a,b"` is one, and `"5"" pipe"` is `5" pipe`, as in CSV.

    Args:
        typed: names separated by commas; blanks around them do not count.
        option: the option it was typed for, for the message.

    Raises:
        OptionError: quotation marks do not come in pairs.
    """
    try:
        cells = next(csv.reader([typed], skipinitialspace=True, strict=True), [])
    except csv.Error:
        where = f"{option}: " if option else ""
        raise OptionError(
            f"{where}expected names separated by commas, with quotation marks in pairs as in CSV, found {typed}"
        ) from None
    return tuple(name.strip() for name in cells if name.strip())


def join_names(names: Iterable[str]) -> str:
    """What `split_names` reads as `names`."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


def names_shown(names: Sequence[str], most: int = 12) -> str:
    """Names for a message, as they are to be typed; only `most` of them, and long ones cut."""
    typed = (join_names([name]) for name in names[:most])
    listed = ", ".join(text if len(text) <= 80 else text[:77] + "..." for text in typed)
    return listed + (f" and {len(names) - most} more" if len(names) > most else "")
