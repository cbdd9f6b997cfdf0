"""What is read in the source of a cell: its names, summaries, states and equations."""

import importlib
import inspect

import pytest

from steploom.cells.naming import CellEntry, read_entries
from steploom.cells.registry import CELLS

SOURCE = '''
from steploom.cells.cell import Cell
from steploom.cells.naming import named


class Unnamed(Cell):
    """A cell without a name."""


@named("second", "The second, slowly", rate=0.5)
@named("first")
class Mine(Cell):
    """A cell (Somebody 2020).

        a_t = x_t, or not
        h_t = a_t + h_{t-1}           first
        h_t = a_t + h_{t-1} / 2       second, third
        y_t = h_t                     third

    More about it.

    Args:
        input_size: number of features.
            a line of its own.
    """

    def __init__(self, input_size, hidden_size, rate=1):
        pass

    def forward(self, x, h, c):
        pass
'''


def test_a_cell_is_one_file(tmp_path):
    (tmp_path / "mine.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "other.py").write_text("x = 1\n", encoding="utf-8")
    found = read_entries(tmp_path, "package.cells")
    assert list(found) == ["first", "second"]
    described = inspect.cleandoc(SOURCE.split('"""')[3]).partition("\n\nArgs:")[0]
    assert found["first"] == CellEntry(
        "A cell (Somebody 2020)",
        ("h", "c"),
        ("a_t = x_t, or not", "h_t = a_t + h_{t-1}"),
        "package.cells.mine:Mine",
        {},
        described,
    )
    assert found["second"].summary == "The second, slowly"
    assert found["second"].equations == ("a_t = x_t, or not", "h_t = a_t + h_{t-1} / 2")
    assert found["second"].arguments == {"rate": 0.5}


def found_class(entry):
    module, _, name = entry.path.partition(":")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_says_what_it_is(name):
    entry = CELLS[name]
    assert entry.summary
    assert "\n" not in entry.summary
    assert entry.description == inspect.getdoc(found_class(entry)).partition("\n\nArgs:")[0]
    first = entry.description.partition("\n")[0]
    assert first.endswith("."), "the summary must be the first line, and whole"
    assert any(equation.startswith(("h_t =", "h_t, ")) for equation in entry.equations)
    assert all("  " not in equation for equation in entry.equations)
    tags = {tag for line in entry.description.splitlines() for tag in line.strip().partition("  ")[2].split(", ")}
    assert all(CELLS[tag.strip()].path == entry.path for tag in tags - {""})
