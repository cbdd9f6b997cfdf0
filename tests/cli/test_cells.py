"""`steploom cells`."""

import json

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
