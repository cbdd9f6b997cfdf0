"""The page of the cells says what the cells say."""

from pathlib import Path

from steploom.cells.page import cell_list, with_cell_list
from steploom.cells.registry import CELLS

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "cells.md"


def test_the_page_is_up_to_date():
    page = PAGE.read_text(encoding="utf-8")
    assert with_cell_list(page) == page, "run `make docs`"


def test_every_equation_stands_in_the_list():
    lines = [line.strip().partition("  ")[0] for line in cell_list().splitlines()]
    for name, entry in CELLS.items():
        assert any(line.startswith(f"| `{name}` |") for line in lines)
        assert set(entry.equations) <= set(lines)


def test_the_rest_of_a_page_stays():
    page = PAGE.read_text(encoding="utf-8")
    begin, end = page.index("<!-- Made from"), page.index("<!-- End of the list")
    outdated = page[:begin] + page[begin : page.index("\n", begin) + 1] + "something old\n" + page[end:]
    assert with_cell_list(outdated) == page
