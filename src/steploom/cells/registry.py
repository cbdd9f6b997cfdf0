"""The cells by the name that `--cell` takes. Listing them imports no torch; `make_cell` does."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steploom.errors import CellError, nearest

if TYPE_CHECKING:
    from steploom.cells.cell import Cell

__all__ = ["CELLS", "CellEntry", "cell_names", "make_cell"]


@dataclass(frozen=True)
class CellEntry:
    """A cell that has a name.

    Attributes:
        summary: one line about it.
        states: names of its states; the first is the output.
        equations: one step, a line an equation, as in the docstring of its class.
        path: where its class stands, "module:Class".
        arguments: constructor arguments beyond the two sizes.
    """

    summary: str
    states: tuple[str, ...]
    equations: tuple[str, ...]
    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def _lstm_gate(gate: str, peephole: str = "") -> str:
    return f"{gate}_t = σ(W_{gate} x_t + b_{gate} + U_{gate} h_{{t-1}} + d_{gate}{peephole})"


_CANDIDATE = "g_t = tanh(W_g x_t + b_g + U_g h_{t-1} + d_g)"
_OUTPUT = "h_t = o_t ⊙ tanh(c_t)"
_GRU_GATES = ("r_t = σ(W_r x_t + b_r + U_r h_{t-1} + d_r)", "z_t = σ(W_z x_t + b_z + U_z h_{t-1} + d_z)")
_GRU_OUTPUT = "h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}"

CELLS: dict[str, CellEntry] = {
    "rnn": CellEntry(
        "Simple recurrent network with tanh (Elman 1990)",
        ("h",),
        ("h_t = tanh(W x_t + b + U h_{t-1} + d)",),
        "steploom.cells.simple:RNNCell",
    ),
    "rnn-relu": CellEntry(
        "Simple recurrent network with rectified units (Le, Jaitly & Hinton 2015)",
        ("h",),
        ("h_t = max(0, W x_t + b + U h_{t-1} + d)",),
        "steploom.cells.simple:RNNCell",
        {"activation": "relu"},
    ),
    "rnn-sigmoid": CellEntry(
        "Simple recurrent network with the logistic function",
        ("h",),
        ("h_t = σ(W x_t + b + U h_{t-1} + d)",),
        "steploom.cells.simple:RNNCell",
        {"activation": "sigmoid"},
    ),
    "rnn-identity": CellEntry(
        "Linear recurrence: a simple recurrent network with no activation",
        ("h",),
        ("h_t = W x_t + b + U h_{t-1} + d",),
        "steploom.cells.simple:RNNCell",
        {"activation": "identity"},
    ),
    "lstm": CellEntry(
        "Long short-term memory with a forget gate (Hochreiter & Schmidhuber 1997; Gers et al. 2000)",
        ("h", "c"),
        (
            _lstm_gate("i"),
            _lstm_gate("f"),
            _CANDIDATE,
            _lstm_gate("o"),
            "c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t",
            _OUTPUT,
        ),
        "steploom.cells.lstm:LSTMCell",
    ),
    "lstm-peephole": CellEntry(
        "LSTM whose gates see the memory cell (Gers et al. 2002)",
        ("h", "c"),
        (
            _lstm_gate("i", " + p_i ⊙ c_{t-1}"),
            _lstm_gate("f", " + p_f ⊙ c_{t-1}"),
            _CANDIDATE,
            "c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t",
            _lstm_gate("o", " + p_o ⊙ c_t"),
            _OUTPUT,
        ),
        "steploom.cells.lstm:PeepholeLSTMCell",
    ),
    "lstm-coupled": CellEntry(
        "LSTM that takes in what it forgets, i = 1 - f (Greff et al. 2017)",
        ("h", "c"),
        (
            _lstm_gate("f"),
            _CANDIDATE,
            "c_t = f_t ⊙ c_{t-1} + (1 - f_t) ⊙ g_t",
            _lstm_gate("o"),
            _OUTPUT,
        ),
        "steploom.cells.lstm:CoupledLSTMCell",
    ),
    "lstm-coupled-peephole": CellEntry(
        "Coupled LSTM with peepholes (Greff et al. 2017)",
        ("h", "c"),
        (
            _lstm_gate("f", " + p_f ⊙ c_{t-1}"),
            _CANDIDATE,
            "c_t = f_t ⊙ c_{t-1} + (1 - f_t) ⊙ g_t",
            _lstm_gate("o", " + p_o ⊙ c_t"),
            _OUTPUT,
        ),
        "steploom.cells.lstm:CoupledLSTMCell",
        {"peepholes": True},
    ),
    "gru": CellEntry(
        "Gated recurrent unit, reset gate after the recurrent product (as cuDNN and torch.nn)",
        ("h",),
        (*_GRU_GATES, "n_t = tanh(W_n x_t + b_n + r_t ⊙ (U_n h_{t-1} + d_n))", _GRU_OUTPUT),
        "steploom.cells.gru:GRUCell",
    ),
    "gru-reset-before": CellEntry(
        "Gated recurrent unit, reset gate before the recurrent product (Cho et al. 2014)",
        ("h",),
        (*_GRU_GATES, "n_t = tanh(W_n x_t + b_n + U_n (r_t ⊙ h_{t-1}) + d_n)", _GRU_OUTPUT),
        "steploom.cells.gru:ResetBeforeGRUCell",
    ),
}


def cell_names() -> tuple[str, ...]:
    """The names of the cells that come with Steploom."""
    return tuple(CELLS)


def make_cell(name_or_path: str, input_size: int, hidden_size: int) -> Cell:
    """Build a cell from its name, or from the import path of a user's own class.

    Args:
        name_or_path: one of `cell_names()`, or "package.module:Class", which is imported with the current directory
            on the import path. The class is called with `input_size` and `hidden_size`.
        input_size: number of features of an input step.
        hidden_size: number of units.

    Raises:
        CellError: the name is unknown, the import fails, or the class is not a cell that keeps its declaration.
    """
    module, _, class_name = name_or_path.partition(":")
    if name_or_path not in CELLS and not (module and class_name):
        hint = nearest(name_or_path, CELLS) or f" Choose one of {', '.join(CELLS)}."
        raise CellError(f"No cell is called '{name_or_path}'.{hint} A cell of your own is named package.module:Class.")

    from steploom.cells.cell import check_declaration, is_size, probe

    for argument, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not is_size(size):
            raise CellError(f"Cell '{name_or_path}': {argument} must be a whole number of at least 1, found {size!r}.")
    if entry := CELLS.get(name_or_path):
        module, _, class_name = entry.path.partition(":")
        built = getattr(importlib.import_module(module), class_name)(input_size, hidden_size, **entry.arguments)
        return check_declaration(built)
    with _current_directory_importable(), _reporting(name_or_path):
        found = _find_class(name_or_path)
        try:
            inspect.signature(found).bind(input_size=input_size, hidden_size=hidden_size)
        except TypeError as error:
            raise CellError(
                f"Cell '{name_or_path}' cannot be built from input_size and hidden_size: {error}. "
                "Give its __init__ these two arguments, and defaults to all others."
            ) from error
        cell = check_declaration(found(input_size=input_size, hidden_size=hidden_size))
        probe(cell)
    return cell


def _find_class(path: str) -> type[Cell]:
    from steploom.cells.cell import Cell

    module_name, _, class_name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise
        raise CellError(
            f"Cell '{path}': there is no module '{error.name}' in {Path.cwd()} or among the installed packages."
        ) from error
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Cell)):
        own = [name for name, item in vars(module).items() if isinstance(item, type) and issubclass(item, Cell)]
        own = [name for name in own if getattr(module, name) is not Cell]
        there = f"The cells in '{module_name}' are: {', '.join(own)}." if own else f"'{module_name}' holds no cell."
        what = "is not a class derived from steploom.Cell" if found is not None else "does not exist"
        raise CellError(f"Cell '{path}': '{class_name}' {what}. {there}{nearest(class_name, own)}")
    return found


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    """Python started by an installed command does not look into the current directory."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


@contextmanager
def _reporting(path: str) -> Iterator[None]:
    """Turn what goes wrong in a user's module into a `CellError` that names the line."""
    try:
        yield
    except CellError:
        raise
    except Exception as error:
        raise CellError(f"Cell '{path}' failed{_place(error)}: {type(error).__name__}: {error}") from error


def _place(error: Exception) -> str:
    """The innermost line that is the user's own, in words."""
    if isinstance(error, SyntaxError):
        return ""
    import torch

    others = ("<", str(Path(__file__).parents[1]), str(Path(torch.__file__).parent))
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(others)]
    return f" in {own[-1].filename}, line {own[-1].lineno}" if own else ""
