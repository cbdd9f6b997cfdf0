"""Steploom: write one step; run the sequence.

The public names stand here flat. Each is imported when it is first asked for, so that `import steploom` costs nothing:
it needs neither torch nor pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steploom.cells.cell import Cell as Cell
    from steploom.cells.gru import GRUCell as GRUCell
    from steploom.cells.gru import ResetBeforeGRUCell as ResetBeforeGRUCell
    from steploom.cells.lstm import CoupledLSTMCell as CoupledLSTMCell
    from steploom.cells.lstm import LSTMCell as LSTMCell
    from steploom.cells.lstm import PeepholeLSTMCell as PeepholeLSTMCell
    from steploom.cells.registry import cell_names as cell_names
    from steploom.cells.registry import make_cell as make_cell
    from steploom.cells.simple import RNNCell as RNNCell
    from steploom.errors import CellError as CellError
    from steploom.errors import DataError as DataError
    from steploom.errors import ModelDirectoryError as ModelDirectoryError
    from steploom.errors import OptionError as OptionError
    from steploom.errors import SteploomError as SteploomError

_HOMES = {
    "Cell": "steploom.cells.cell",
    "CellError": "steploom.errors",
    "CoupledLSTMCell": "steploom.cells.lstm",
    "DataError": "steploom.errors",
    "GRUCell": "steploom.cells.gru",
    "LSTMCell": "steploom.cells.lstm",
    "ModelDirectoryError": "steploom.errors",
    "OptionError": "steploom.errors",
    "PeepholeLSTMCell": "steploom.cells.lstm",
    "RNNCell": "steploom.cells.simple",
    "ResetBeforeGRUCell": "steploom.cells.gru",
    "SteploomError": "steploom.errors",
    "cell_names": "steploom.cells.registry",
    "make_cell": "steploom.cells.registry",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("steploom")
    if name not in _HOMES:
        raise AttributeError(f"module 'steploom' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
