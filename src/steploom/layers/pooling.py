"""From a sequence of any length to one vector: its last state, mean, maximum, or an attention over its steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from steploom.engine.lengths import padding
from steploom.errors import OptionError, nearest

__all__ = ["POOLINGS", "Pooling"]

POOLINGS = ("last", "mean", "max", "attention")


class Pooling(nn.Module):
    """One vector a sequence, from the outputs of its steps.

    - "last": the output at the last step; of a bidirectional layer, that of the forward direction at the last step
      beside that of the backward direction at the first: what each has read to its end.
    - "mean", "max": over the steps, each feature for itself.
    - "attention": the mean with the weights softmax_t(v · tanh(W y_t + b)) (Yang et al. 2016, "Hierarchical attention
      networks for document classification").

    Steps behind the end of a sequence have no influence.

    Args:
        kind: which of these.
        size: features of a step.
        bidirectional: whether the second half of the features was computed backwards in time.

    Raises:
        OptionError: there is no such pooling.
    """

    def __init__(self, kind: str, size: int, bidirectional: bool = False) -> None:
        super().__init__()
        if kind not in POOLINGS:
            raise OptionError(
                f"pooling: expected one of {', '.join(POOLINGS)}, found '{kind}'.{nearest(kind, POOLINGS)}"
            )
        self.kind, self.size, self.bidirectional = kind, size, bidirectional
        if kind == "attention":
            self.hidden = nn.Linear(size, size)
            self.query = nn.Parameter(torch.empty(size))
            nn.init.uniform_(self.query, -1 / math.sqrt(size), 1 / math.sqrt(size))

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The vectors (batch, size) of sequences.

        Args:
            y: outputs (time, batch, size), finite in the padding too.
            lengths: int64 (batch,), each at least 1, on any device; None where all sequences are full.
        """
        lengths = lengths if lengths is None else lengths.to(y.device)
        if self.kind == "last":
            return self._last(y, lengths)
        if self.kind == "attention":
            return torch.einsum("tb,tbs->bs", self.weights(y, lengths), y)
        if lengths is None:
            return y.mean(0) if self.kind == "mean" else y.amax(0)
        padded = padding(lengths, len(y))
        if self.kind == "mean":
            return y.masked_fill(padded, 0).sum(0) / lengths[:, None]
        return y.masked_fill(padded, -math.inf).amax(0)

    def weights(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The weights (time, batch) of the steps, of attention alone; 0 in the padding, and their sum is 1.

        Args:
            y, lengths: as for `forward`.
        """
        energies = torch.tanh(self.hidden(y)) @ self.query
        if lengths is not None:
            energies = energies.masked_fill(padding(lengths.to(y.device), len(y)).squeeze(-1), -math.inf)
        return torch.softmax(energies, 0)

    def _last(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        ends = y[-1] if lengths is None else y[lengths - 1, torch.arange(len(lengths), device=y.device)]
        if not self.bidirectional:
            return ends
        half = self.size // 2
        return torch.cat([ends[:, :half], y[0, :, half:]], -1)

    def extra_repr(self) -> str:
        """The constructor's arguments, for `print`."""
        return f"{self.kind}, {self.size}, bidirectional={self.bidirectional}"
