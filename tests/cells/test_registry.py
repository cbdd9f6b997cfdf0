"""Cells by name and by import path."""

import subprocess
import sys

import pytest

from steploom.cells.registry import CELLS, cell_names, make_cell
from steploom.errors import CellError

NAMES = (
    "gru",
    "gru-layernorm",
    "gru-reset-before",
    "indrnn",
    "janet",
    "ligru",
    "lstm",
    "lstm-coupled",
    "lstm-coupled-peephole",
    "lstm-layernorm",
    "lstm-peephole",
    "lstm-projected",
    "mgu",
    "mingru",
    "minlstm",
    "mogrifier-lstm",
    "rnn",
    "rnn-identity",
    "rnn-relu",
    "rnn-sigmoid",
    "slstm",
    "sru",
)


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """A folder to write modules in, which is the current directory."""
    monkeypatch.chdir(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


GOOD = """
import torch
from steploom.cells.cell import Cell

class Mine(Cell):
    def __init__(self, input_size, hidden_size, depth=2):
        super().__init__()
        self.states = {"h": hidden_size}
        self.input = torch.nn.Linear(input_size, hidden_size)

    def forward(self, x, h):
        return (torch.tanh(self.input(x) + h),)
"""


def test_names():
    assert cell_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_make_cell(name):
    cell = make_cell(name, 3, 4)
    assert (cell.input_size, cell.hidden_size) == (3, 2 if name == "lstm-projected" else 4)
    assert tuple(cell.states) == CELLS[name].states


def test_listing_imports_no_torch():
    code = "import sys, steploom.cells.registry as r; r.cell_names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_name():
    with pytest.raises(CellError, match=r"No cell is called 'lsmt'\. Did you mean 'lstm'\?"):
        make_cell("lsmt", 3, 4)
    with pytest.raises(CellError, match=r"No cell is called 'zzzz'\. Choose one of gru, gru-layernorm"):
        make_cell("zzzz", 3, 4)


@pytest.mark.parametrize("sizes", [(0, 4), (3, -1), (3, 2.0)])
def test_sizes_must_be_whole_and_positive(sizes):
    with pytest.raises(CellError, match=r"Cell 'lstm': (input|hidden)_size must be a whole number of at least 1"):
        make_cell("lstm", *sizes)


def test_own_cell_from_the_current_directory(in_folder):
    (in_folder / "my_cells.py").write_text(GOOD)
    path = list(sys.path)
    cell = make_cell("my_cells:Mine", 3, 4)
    assert type(cell).__name__ == "Mine"
    assert (cell.input_size, cell.hidden_size) == (3, 4)
    assert sys.path == path


def test_own_cell_in_a_package(in_folder):
    (in_folder / "my_package").mkdir()
    (in_folder / "my_package" / "cells.py").write_text(GOOD)
    assert make_cell("my_package.cells:Mine", 3, 4).hidden_size == 4


def test_missing_module(in_folder):
    with pytest.raises(CellError, match="there is no module 'no_such_module'"):
        make_cell("no_such_module:Mine", 3, 4)
    (in_folder / "lone.py").write_text("")
    with pytest.raises(CellError, match=r"there is no module 'lone\.cells'"):
        make_cell("lone.cells:Mine", 3, 4)


def test_missing_class(in_folder):
    (in_folder / "my_cells.py").write_text(GOOD + "\nnumber = 5\n")
    with pytest.raises(CellError, match=r"'Mime' does not exist\. The cells in 'my_cells' are: Mine\. Did you mean"):
        make_cell("my_cells:Mime", 3, 4)
    with pytest.raises(CellError, match=r"'number' is not a class derived from steploom\.Cell"):
        make_cell("my_cells:number", 3, 4)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("./my_cells:Mine", "Did you mean 'my_cells:Mine'?"),
        ("my_cells.py:Mine", "Did you mean 'my_cells:Mine'?"),
        ("my_package/cells.py:Mine", "Did you mean 'my_package.cells:Mine'?"),
        ("my_package.cells.py:Mine", "Did you mean 'my_package.cells:Mine'?"),
        (".\\my_cells.py:Mine", "Did you mean 'my_cells:Mine'?"),
        ("../cells/mine.py:Mine", "Name it 'mine:Mine', and start in ../cells."),
        ("/cells/mine.py:Mine", "Name it 'mine:Mine', and start in /cells."),
    ],
)
def test_a_file_in_the_place_of_a_module(path, hint):
    with pytest.raises(CellError) as raised:
        make_cell(path, 3, 4)
    assert str(raised.value) == f"Cell '{path}': expected a module as `import` names it, found a file. {hint}"


def test_missing_path_parts():
    for path in (":Mine", "json:", ":"):
        with pytest.raises(CellError, match=r"package\.module:Class"):
            make_cell(path, 3, 4)


def test_module_that_fails_names_the_line(in_folder):
    (in_folder / "broken.py").write_text("import json\n1 / 0\n")
    with pytest.raises(CellError, match=r"broken\.py, line 2: ZeroDivisionError: division by zero"):
        make_cell("broken:Mine", 3, 4)


def test_module_with_a_missing_import_names_the_line(in_folder):
    (in_folder / "broken.py").write_text("\nimport no_such_module\n")
    with pytest.raises(CellError, match=r"broken\.py, line 2: ModuleNotFoundError: No module named 'no_such_module'"):
        make_cell("broken:Mine", 3, 4)


def test_syntax_error(in_folder):
    (in_folder / "broken.py").write_text("class Mine(:\n")
    with pytest.raises(CellError, match=r"failed: SyntaxError: invalid syntax \(broken\.py, line 1\)"):
        make_cell("broken:Mine", 3, 4)


def test_step_that_fails_names_the_line(in_folder):
    (in_folder / "broken.py").write_text(GOOD.replace("torch.tanh(self.input(x) + h)", "x @ h"))
    with pytest.raises(CellError, match=r"failed in .*broken\.py, line 12: RuntimeError: mat1 and mat2"):
        make_cell("broken:Mine", 3, 4)


def test_constructor_without_the_sizes(in_folder):
    (in_folder / "my_cells.py").write_text(GOOD.replace("input_size, hidden_size, depth=2", "width"))
    with pytest.raises(CellError, match="cannot be built from input_size and hidden_size"):
        make_cell("my_cells:Mine", 3, 4)


def test_states_of_the_wrong_shape_are_found_at_once(in_folder):
    (in_folder / "my_cells.py").write_text(GOOD.replace("(x) + h)", "(x) + h)[:, :1]"))
    with pytest.raises(CellError, match=r"State `h` enters as \(batch, 4\) but the cell returns \(batch, 1\)"):
        make_cell("my_cells:Mine", 3, 4)


def test_wrong_number_of_states_is_found_at_once(in_folder):
    (in_folder / "my_cells.py").write_text(GOOD.replace("h),)", "h), h)"))
    with pytest.raises(CellError, match=r"Mine declares 1 state \(h\) but returns 2 states"):
        make_cell("my_cells:Mine", 3, 4)
