"""`Recurrent`: a cell run over whole sequences, in layers and directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from steploom.cells.cell import Cell, check_declaration, is_size, real_weight
from steploom.engine.choice import check_engine
from steploom.engine.compiled import compiled_cell
from steploom.engine.open_stream import open_stream
from steploom.engine.stream import Stream, StreamPlan
from steploom.errors import CellError, OptionError, nearest
from steploom.layers.arguments import check_input, check_state, checked_lengths, checked_resets
from steploom.layers.dropout import check_rate
from steploom.layers.stack import Stack
from steploom.program.program import Program
from steploom.program.trace import trace

__all__ = ["Recurrent"]

States = tuple[Tensor, ...]


class Recurrent(nn.Module):
    """A recurrent network: any cell over a batch of sequences, stacked, in one or both directions.

        rnn = Recurrent(LSTMCell(8, 64), num_layers=2, dropout=0.2)
        y, state = rnn(x)

    Args:
        cell: the step. It becomes the first layer's; the other layers and directions get fresh cells of the same kind.
        num_layers: number of layers, the output of one being the input of the next.
        bidirectional: whether each layer also runs from each sequence's end to its start; the two outputs stand side
            by side.
        dropout: rate of the dropout on the outputs of all layers but the last, from 0 to below 1.
        residual: whether each layer whose output has the size of its input adds the two (He et al. 2016).
        batch_first: whether sequences come as (batch, time, size) rather than (time, batch, size). The states are not
            touched by this.
        engine: "native", "aten", "reference", or "auto", which takes what `use_engine` asks for, or else native where
            it can run the cell, else PyTorch's kernel, else the reference.
        variational_dropout: rate of the dropout with one mask a sequence, on each layer's input and in the recurrent
            product (Gal & Ghahramani 2016). A pair gives the two rates; with 0 as the second, every engine can run it.
        zoneout: share of each state's units that keep their old value at a step: at random in training, in
            expectation otherwise (Krueger et al. 2017). A mapping gives a rate to some states by name.
        checkpoint_every: number of steps of which the native engine keeps nothing but the states before them; the
            backward pass runs them again. It saves memory on long sequences, and training takes a third to a half
            longer. Once to twice the square root of the number of steps is a good choice. Other engines keep
            everything.
        input_dropout: rate of the dropout with one mask a sequence on the first layer's input; None: as
            `variational_dropout` says for the input of each layer.

    Raises:
        CellError: the cell has not declared its states, or cannot be built with another input size.
        OptionError: another argument is out of range.
    """

    def __init__(
        self,
        cell: Cell,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        residual: bool = False,
        batch_first: bool = False,
        engine: str = "auto",
        variational_dropout: float | tuple[float, float] = 0.0,
        zoneout: float | Mapping[str, float] = 0.0,
        checkpoint_every: int | None = None,
        input_dropout: float | None = None,
    ) -> None:
        super().__init__()
        check_declaration(cell)
        if not is_size(num_layers):
            raise OptionError(f"num_layers must be a whole number of at least 1, found {num_layers!r}.")
        if checkpoint_every is not None and not is_size(checkpoint_every):
            raise OptionError(f"checkpoint_every must be a whole number of at least 1, found {checkpoint_every!r}.")
        pair = variational_dropout if isinstance(variational_dropout, tuple) else (variational_dropout,) * 2
        if len(pair) != 2:
            raise OptionError(f"variational_dropout must be a rate or a pair of rates, found {variational_dropout!r}.")
        self.stack = Stack(
            directions=2 if bidirectional else 1,
            dropout=check_rate("dropout", dropout),
            residual=residual,
            further_input_dropout=check_rate("variational_dropout", pair[0]),
            input_dropout=check_rate("input_dropout", pair[0] if input_dropout is None else input_dropout),
            recurrent_dropout=check_rate("variational_dropout", pair[1]),
            zoneout=_zoneout_rates(cell, zoneout),
            engine=check_engine(engine),
            checkpoint_every=checkpoint_every or 0,
        )
        self.input_size = cell.input_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.batch_first = batch_first
        self.cells = nn.ModuleList([cell])
        for place in range(1, num_layers * self.stack.directions):
            first_layer = place < self.stack.directions
            further = cell.like() if first_layer else cell.like(input_size=self.output_size)
            if further.states != cell.states:
                raise CellError(
                    f"{type(cell).__name__} declares the states {cell.states} with input_size={cell.input_size} and "
                    f"{further.states} with input_size={further.input_size}, so its layers cannot be stacked. Give it "
                    f"an input of {self.output_size} features, or states whose sizes do not depend on it."
                )
            self.cells.append(further)

    if TYPE_CHECKING:

        def __call__(
            self, x: Tensor, state: States | None = ..., lengths: Tensor | None = ..., resets: Tensor | None = ...
        ) -> tuple[Tensor, States]: ...

    @property
    def cell(self) -> Cell:
        """The first layer's cell, which was given to the constructor."""
        return cast(Cell, self.cells[0])

    @property
    def output_size(self) -> int:
        """Number of features of an output step: that of the cell, twice where the layer is bidirectional."""
        return self.cell.hidden_size * self.stack.directions

    def initial_state(self, batch: int, like: Tensor | None = None) -> States:
        """The states before the first step: for each state of the cell one (num_layers * directions, batch, size).

        They have the dtype and the device of the weights; those of `like` where the cell has none.
        """
        weight = real_weight(self, like)
        parts = [cast(Cell, cell).initial_state(batch, dtype=weight.dtype, device=weight.device) for cell in self.cells]
        return tuple(torch.stack(states) for states in zip(*parts, strict=True))

    @property
    def program(self) -> Program:
        """The step of the cell as the native engine sees it; `print` shows its equations.

        Raises:
            UnsupportedOperation: the step does something that a program cannot say.
        """
        found = compiled_cell(self.cell)
        if isinstance(found, CellError):
            raise found
        return found.program if found is not None else trace(self.cell)

    def explain(self) -> str:
        """Which engine runs this layer in its present mode, and why: "native: it runs any step ..."."""
        choice = self.stack.choose(self.cell)
        return f"{choice.engine}: {choice.reason}"

    def stream(self, batch: int = 1) -> Stream:
        """A stream: the network given one step at a time, which keeps its states and packed weights in between.

            stream = rnn.stream(batch=1)
            y = stream.push(x_t)

        It runs as in evaluation and gives no gradients. The weights are copied: `stream.reload()` takes later ones.

        Args:
            batch: sequences that are streamed side by side.

        Raises:
            OptionError: the network is bidirectional, batch is no whole number of at least 1, or the engine that was
                asked for by name cannot run the cell.
        """
        if not is_size(batch):
            raise OptionError(f"batch must be a whole number of at least 1, found {batch!r}.")
        if self.bidirectional:
            raise OptionError(
                "A bidirectional network cannot be streamed: its reversed direction begins at the end of the sequence, "
                "which has not come yet. Use bidirectional=False."
            )
        stack = self.stack
        cells = cast(Sequence[Cell], self.cells)
        return open_stream(StreamPlan(lambda: cells, batch, stack.residual, stack.zoneout, stack.engine))

    def forward(
        self,
        x: Tensor,
        state: States | None = None,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, States]:
        """Run the network over a batch of sequences.

        Args:
            x: inputs (time, batch, input_size), or (batch, time, input_size) with `batch_first`.
            state: where the sequences go on from: for each state of the cell one tensor
                (num_layers * directions, batch, size), as an earlier call returned it. None is the initial state.
            lengths: number of steps of each sequence, integers (batch,) from 0 to time. None where all are full.
                What stands in the padding has no influence.
            resets: bool (time, batch), or (batch, time) with `batch_first`. Where it is true a new sequence begins: the
                state becomes the initial state before that step. The reversed direction begins afresh at the same gap.

        Returns:
            The outputs (time, batch, output_size), with 0 in the padding, and the final states in the shape of `state`:
            those at each sequence's last step, in the reversed direction those at its first.

        Raises:
            OptionError: an argument has the wrong shape, dtype or range.
            CellError: the cell returns a wrong number or shape of states.
        """
        # Past the __getattr__ of modules, which is one more function of Python.
        cells: list[Any] = list(self._modules["cells"]._modules.values())  # type: ignore[union-attr]
        check_input(cells[0], x, self.batch_first)
        if self.batch_first:
            x = x.transpose(0, 1)
            resets = resets.transpose(0, 1) if isinstance(resets, Tensor) and resets.dim() == 2 else resets
        time, batch, _ = x.shape
        if state is not None:
            check_state(cells[0], state, x, (len(cells), batch))
        if lengths is not None:
            lengths = checked_lengths(lengths, time, batch).to(x.device)
        if resets is not None:
            resets = checked_resets(resets, time, batch).to(x.device)
        y, state = self.stack.run(cells, x, state, lengths, resets, self.batch_first)
        return (y.transpose(0, 1) if self.batch_first else y), state

    def extra_repr(self) -> str:
        """How the cells are put together, for `print`."""
        return f"num_layers={self.num_layers}, bidirectional={self.bidirectional}, batch_first={self.batch_first}"


def _zoneout_rates(cell: Cell, zoneout: float | Mapping[str, float]) -> tuple[float, ...]:
    if not isinstance(zoneout, Mapping):
        return (check_rate("zoneout", zoneout),) * len(cell.states)
    for name in zoneout:
        if name not in cell.states:
            raise OptionError(
                f"zoneout names the state '{name}', but the cell has {', '.join(cell.states)}."
                f"{nearest(name, cell.states)}"
            )
    return tuple(check_rate(f"zoneout['{name}']", zoneout.get(name, 0.0)) for name in cell.states)
