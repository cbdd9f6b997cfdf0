"""The recurrent layers of a network as one value: what the options of every training say about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from torch import nn

from steploom.cells.registry import make_cell
from steploom.layers.dropout import SequenceDropout
from steploom.layers.recurrent import Recurrent

__all__ = ["RecurrentShape"]


@dataclass(frozen=True)
class RecurrentShape:
    """How recurrent layers are put together, all but the size of their input.

    Args:
        cell: name or import path of the cell.
        hidden_size: size of the cell's first state.
        num_layers: layers on top of each other.
        bidirectional: whether each layer also runs backwards in time.
        dropout: rate between layers.
        variational: whether a dropout mask holds for all steps of a batch (Gal & Ghahramani 2016).
        recurrent_dropout: rate of variational dropout inside the recurrent product; needs the reference engine.
        residual: whether a layer's input is added to its output where the two have one size.
        zoneout: share of each state's units that keep their value at a step; needs the reference engine.
        engine: what runs the cell over time.
    """

    cell: str = "lstm"
    hidden_size: int = 128
    num_layers: int = 1
    bidirectional: bool = False
    dropout: float = 0.0
    variational: bool = False
    recurrent_dropout: float = 0.0
    residual: bool = False
    zoneout: float = 0.0
    engine: str = "auto"

    @classmethod
    def of(cls, options: Any, **changed: Any) -> Self:
        """The shape that `options` (`steploom.training.options.TrainOptions`) describe, but for what is `changed`."""
        named = {name: getattr(options, name) for name in cls.__dataclass_fields__}
        return cls(**named | changed)

    def layers(self, input_size: int, batch_first: bool = False, input_dropout: float | None = None) -> Recurrent:
        """Fresh layers over inputs (time, batch, input_size), or (batch, time, input_size) with `batch_first`.

        Where the shape is variational, they mask what enters the first of them themselves, at the rate `input_dropout`
        (None: as between them).
        """
        return Recurrent(
            make_cell(self.cell, input_size, self.hidden_size),
            self.num_layers,
            bidirectional=self.bidirectional,
            dropout=0.0 if self.variational else self.dropout,
            residual=self.residual,
            batch_first=batch_first,
            zoneout=self.zoneout,
            variational_dropout=(self.dropout if self.variational else 0.0, self.recurrent_dropout),
            engine=self.engine,
            input_dropout=input_dropout if self.variational else None,
        )

    def with_input_dropout(self, input_size: int, rate: float | None = None) -> tuple[nn.Module, Recurrent]:
        """Dropout of what enters the layers, and the layers; `rate` None: that between them."""
        return self.input_dropout(rate), self.layers(input_size, input_dropout=rate)

    def input_dropout(self, rate: float | None = None) -> nn.Module:
        """Dropout of what enters layers of this shape; none where they mask it themselves. See `with_input_dropout`."""
        return nn.Identity() if self.variational else self.dropout_layer(rate)

    def dropout_layer(self, rate: float | None = None) -> nn.Module:
        """Dropout of what leaves the layers (time, batch, size); `rate` None: that between them."""
        kind = SequenceDropout if self.variational else nn.Dropout
        return kind(self.dropout if rate is None else rate)
