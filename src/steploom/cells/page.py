"""The cells as a part of their page in the documentation. `make docs` writes it; a test compares."""

from __future__ import annotations

import sys
from pathlib import Path

from steploom.cells.registry import CELLS

__all__ = ["cell_list", "with_cell_list"]

_BEGIN = "<!-- Made from the docstrings of the cells by `make docs`, to the end of the list. -->\n"
_END = "<!-- End of the list. -->\n"


def cell_list() -> str:
    """Markdown: a table of the names, then what the docstring of each class says, equations included."""
    table = "".join(f"| `{name}` | {entry.summary} |\n" for name, entry in CELLS.items())
    classes: dict[str, list[str]] = {}
    for name, entry in CELLS.items():
        classes.setdefault(entry.path, []).append(name)
    sections = [
        f"\n### {', '.join(names)}\n\n`{path.replace(':', '.')}`: {CELLS[names[0]].description}\n"
        for path, names in classes.items()
    ]
    return f"| name | what it is |\n| --- | --- |\n{table}" + "".join(sections)


def with_cell_list(page: str) -> str:
    """The page with its list of cells made afresh."""
    before, _, rest = page.partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}\n{cell_list()}\n{_END}{after}"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(with_cell_list(file.read_text(encoding="utf-8")), encoding="utf-8")
