"""The encoder of a source sequence, and the bridge from its last states to the first ones of a decoder."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from steploom.cells.cell import Cell
from steploom.layers.recurrent import Recurrent
from steploom.layers.stepwise import LayerStates
from steploom.models.recurrent_shape import RecurrentShape

__all__ = ["Bridge", "Encoder"]

States = tuple[Tensor, ...]


class Encoder(nn.Module):
    """Embedding and recurrent layers over sources of unequal length.

    Args:
        embedding: of the source's tokens.
        shape: the layers.
    """

    def __init__(self, embedding: nn.Embedding, shape: RecurrentShape) -> None:
        super().__init__()
        self.embedding = embedding
        self.dropout = shape.input_dropout()
        self.recurrent = shape.layers(embedding.embedding_dim)

    @property
    def output_size(self) -> int:
        """Features of a step's output."""
        return self.recurrent.output_size

    def forward(self, source: Tensor, lengths: Tensor | None) -> tuple[Tensor, States]:
        """Reads sources.

        Args:
            source: int64 tokens (source_time, batch); any token in the padding.
            lengths: tokens of each source (batch,); None where all are full.

        Returns:
            The outputs (source_time, batch, output_size), 0 in the padding, and the last states, for each state of the
            cell (layers * directions, batch, size).
        """
        return self.recurrent(self.dropout(self.embedding(source)), lengths=lengths)


class Bridge(nn.Module):
    """From an encoder's last states to a decoder's first ones, whatever the two cells are.

    The top layers of both are matched, and below them layer by layer; a decoder with more layers reads the lowest one
    of the encoder several times. Where the encoder has one direction and both cells the same states of the same sizes,
    they are handed over as they are (Sutskever, Vinyals & Le 2014). Otherwise each state of the decoder is a linear map
    of the encoder's state of that name, or else of its output, both directions side by side; tanh bounds what becomes
    the first state (Bahdanau et al. 2015). States that mean something only together with the others
    (`Cell.dependent_states`) then keep the value that the cell starts from.

    Args:
        encoder: the layers that were run.
        decoder: the layers that will run.
    """

    def __init__(self, encoder: Recurrent, decoder: Recurrent) -> None:
        super().__init__()
        self.directions = encoder.stack.directions
        self.lowest = encoder.num_layers - decoder.num_layers
        self.layers = decoder.num_layers
        given = encoder.cell.states
        self.names = list(given)
        self.copies = self.directions == 1 and list(given.items()) == list(decoder.cell.states.items())
        self.maps = nn.ModuleList()
        if not self.copies:
            for _ in range(self.layers):
                maps = {
                    name: nn.Linear(self.directions * given[self._from(name)], size)
                    for name, size in decoder.cell.states.items()
                    if name not in decoder.cell.dependent_states
                }
                self.maps.append(nn.ModuleDict(maps))

    def _from(self, name: str) -> str:
        """The encoder's state that a state of the decoder is made from."""
        return name if name in self.names else self.names[0]

    def forward(self, states: States, decoder: Recurrent) -> LayerStates:
        """The decoder's first states.

        Args:
            states: for each state of the encoder (layers * directions, batch, size).
            decoder: the layers that will run.
        """
        named = dict(zip(self.names, states, strict=True))
        return tuple(self._layer(layer, named, cast(Cell, decoder.cells[layer])) for layer in range(self.layers))

    def _layer(self, layer: int, named: dict[str, Tensor], cell: Cell) -> States:
        first = max(0, self.lowest + layer) * self.directions
        if self.copies:
            return tuple(part[first] for part in named.values())
        here = {name: torch.cat(part[first : first + self.directions].unbind(0), -1) for name, part in named.items()}
        any_state = next(iter(here.values()))
        fresh = cell.initial_state(len(any_state), dtype=any_state.dtype, device=any_state.device)
        maps = cast(nn.ModuleDict, self.maps[layer])
        made = []
        for place, (name, start) in enumerate(zip(cell.states, fresh, strict=True)):
            if name not in maps:
                made.append(start)
                continue
            value = maps[name](here[self._from(name)])
            made.append(value if place else torch.tanh(value))
        return tuple(made)
