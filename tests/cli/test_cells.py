"""`steploom cells`."""

import json

import pytest

from steploom.cells.registry import CELLS
from tests.cli.conftest import Run


def test_every_cell_is_listed_with_its_states(run: Run) -> None:
    lines = {line.split()[0]: line for line in run("cells").stdout.splitlines()[1:] if line and line[0].isalpha()}
    assert set(CELLS) <= set(lines)
    assert "h, c" in lines["lstm"]
    assert "h, c" not in lines["gru"]


def test_the_equations_of_one_cell_are_shown(run: Run) -> None:
    shown = run("cells", "gru").stdout
    for equation in CELLS["gru"].equations:
        assert equation in shown
    assert "states: h " in shown


def test_as_json(run: Run) -> None:
    every = json.loads(run("cells", "--json").stdout)
    assert list(every) == list(CELLS)
    assert every["lstm"]["states"] == ["h", "c"]
    assert json.loads(run("cells", "lstm", "--json").stdout) == {"lstm": every["lstm"]}


def test_a_cell_is_described_and_its_symbols_explained(run: Run) -> None:
    projected = run("cells", "lstm-projected").stdout
    assert "The memory c has `hidden_size` units" in projected and "P: weights of the projection" in projected
    assert "peepholes" not in projected
    coupled = run("cells", "lstm-coupled").stdout
    assert "lstm-coupled-peephole" not in coupled and "p_f" not in coupled
    assert "The rows of the weights are f, g, o." in coupled
    assert "p: peepholes" in run("cells", "lstm-coupled-peephole").stdout


@pytest.mark.parametrize("name", CELLS)
def test_every_product_is_explained(run: Run, name: str) -> None:
    shown = run("cells", name).stdout
    assert "W: weights of the products with the input" in shown
    assert len(shown.splitlines()) < 45 and all(len(line) <= 120 for line in shown.splitlines())
