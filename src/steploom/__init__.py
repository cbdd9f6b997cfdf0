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
    from steploom.cells.indrnn import IndRNNCell as IndRNNCell
    from steploom.cells.janet import JANETCell as JANETCell
    from steploom.cells.layer_norm import LayerNormGRUCell as LayerNormGRUCell
    from steploom.cells.layer_norm import LayerNormLSTMCell as LayerNormLSTMCell
    from steploom.cells.ligru import LiGRUCell as LiGRUCell
    from steploom.cells.lstm import CoupledLSTMCell as CoupledLSTMCell
    from steploom.cells.lstm import LSTMCell as LSTMCell
    from steploom.cells.lstm import PeepholeLSTMCell as PeepholeLSTMCell
    from steploom.cells.lstm import ProjectedLSTMCell as ProjectedLSTMCell
    from steploom.cells.mgu import MGUCell as MGUCell
    from steploom.cells.minimal import MinGRUCell as MinGRUCell
    from steploom.cells.minimal import MinLSTMCell as MinLSTMCell
    from steploom.cells.mogrifier import MogrifierLSTMCell as MogrifierLSTMCell
    from steploom.cells.registry import cell_names as cell_names
    from steploom.cells.registry import make_cell as make_cell
    from steploom.cells.simple import RNNCell as RNNCell
    from steploom.cells.slstm import SLSTMCell as SLSTMCell
    from steploom.cells.sru import SRUCell as SRUCell
    from steploom.engine.choice import use_engine as use_engine
    from steploom.errors import CellError as CellError
    from steploom.errors import DataError as DataError
    from steploom.errors import ModelDirectoryError as ModelDirectoryError
    from steploom.errors import OptionError as OptionError
    from steploom.errors import SteploomError as SteploomError
    from steploom.errors import UnsupportedOperation as UnsupportedOperation
    from steploom.layers.attention import AdditiveAttention as AdditiveAttention
    from steploom.layers.attention import MultiplicativeAttention as MultiplicativeAttention
    from steploom.layers.crf import CRF as CRF
    from steploom.layers.drop_in import GRU as GRU
    from steploom.layers.drop_in import LSTM as LSTM
    from steploom.layers.drop_in import RNN as RNN
    from steploom.layers.forest import Forest as Forest
    from steploom.layers.hard_attention import HardAttention as HardAttention
    from steploom.layers.recurrent import Recurrent as Recurrent
    from steploom.layers.tree import TreeNetwork as TreeNetwork
    from steploom.layers.tree_cells import ChildSumTreeLSTMCell as ChildSumTreeLSTMCell
    from steploom.layers.tree_cells import NaryTreeLSTMCell as NaryTreeLSTMCell
    from steploom.layers.tree_cells import RecursiveCell as RecursiveCell
    from steploom.tasks.train import resume as resume
    from steploom.tasks.train import train as train
    from steploom.tasks.trained import TrainedModel as TrainedModel
    from steploom.tasks.trained import load as load

_HOMES = {
    "AdditiveAttention": "steploom.layers.attention",
    "CRF": "steploom.layers.crf",
    "Cell": "steploom.cells.cell",
    "CellError": "steploom.errors",
    "ChildSumTreeLSTMCell": "steploom.layers.tree_cells",
    "CoupledLSTMCell": "steploom.cells.lstm",
    "DataError": "steploom.errors",
    "Forest": "steploom.layers.forest",
    "GRU": "steploom.layers.drop_in",
    "GRUCell": "steploom.cells.gru",
    "HardAttention": "steploom.layers.hard_attention",
    "IndRNNCell": "steploom.cells.indrnn",
    "JANETCell": "steploom.cells.janet",
    "LSTM": "steploom.layers.drop_in",
    "LSTMCell": "steploom.cells.lstm",
    "LayerNormGRUCell": "steploom.cells.layer_norm",
    "LayerNormLSTMCell": "steploom.cells.layer_norm",
    "LiGRUCell": "steploom.cells.ligru",
    "MGUCell": "steploom.cells.mgu",
    "MinGRUCell": "steploom.cells.minimal",
    "MinLSTMCell": "steploom.cells.minimal",
    "ModelDirectoryError": "steploom.errors",
    "MogrifierLSTMCell": "steploom.cells.mogrifier",
    "MultiplicativeAttention": "steploom.layers.attention",
    "NaryTreeLSTMCell": "steploom.layers.tree_cells",
    "OptionError": "steploom.errors",
    "PeepholeLSTMCell": "steploom.cells.lstm",
    "ProjectedLSTMCell": "steploom.cells.lstm",
    "RNN": "steploom.layers.drop_in",
    "RNNCell": "steploom.cells.simple",
    "Recurrent": "steploom.layers.recurrent",
    "RecursiveCell": "steploom.layers.tree_cells",
    "ResetBeforeGRUCell": "steploom.cells.gru",
    "SLSTMCell": "steploom.cells.slstm",
    "SRUCell": "steploom.cells.sru",
    "SteploomError": "steploom.errors",
    "TrainedModel": "steploom.tasks.trained",
    "TreeNetwork": "steploom.layers.tree",
    "UnsupportedOperation": "steploom.errors",
    "cell_names": "steploom.cells.registry",
    "load": "steploom.tasks.trained",
    "make_cell": "steploom.cells.registry",
    "resume": "steploom.tasks.train",
    "train": "steploom.tasks.train",
    "use_engine": "steploom.engine.choice",
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
