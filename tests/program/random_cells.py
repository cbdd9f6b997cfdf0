"""Cells that nobody has seen: invented at random from the operations that a program knows."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from steploom.cells.cell import Cell

__all__ = ["random_cell"]

BOUNDED = ["tanh", "sigmoid", "softsign", "sin", "erf"]
UNARY = [*BOUNDED, "relu", "gelu", "silu", "softplus", "leaky_relu", "hardtanh", "elu"]
ENDS = ["gated", "gated", "affine", "decay", "input", "other", "same"]
KINDS = ["gates", "joined", "unary", "binary", "vector", "norm", "softmax", "heads", "choice", "scale"]


@dataclass(frozen=True)
class Operation:
    """One line of a cell: what is done, and the numbers of the values it is done to."""

    kind: str
    detail: str
    of: tuple[int, ...]


class RandomCell(Cell):
    """A cell whose equations are drawn from a seed; its states stay bounded.

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units; even.
        seed: of the equations.
        operations: how many lines it has.
    """

    def __init__(self, input_size: int, hidden_size: int, seed: int, operations: int = 8) -> None:
        super().__init__()
        draw = random.Random(seed)
        self.states = dict.fromkeys("hcm"[: draw.choice([1, 1, 2, 2, 3])], hidden_size)
        self.size = hidden_size
        self.recipe: list[Operation] = []
        self.parts = nn.ModuleList()
        self.vectors = nn.ParameterList()
        self.heads = nn.Parameter(torch.randn(2, hidden_size // 2, hidden_size // 2) / hidden_size**0.5)
        self.known = 1 + len(self.states)
        self._draw("gates", draw)
        for _ in range(operations):
            self._draw(draw.choice(KINDS), draw)
        self.ends = [self._end(draw, number) for number in range(len(self.states))]

    def _end(self, draw: random.Random, number: int) -> Operation:
        # What a state becomes. All but the first may be bare: nothing stands between them and a weight, a bias, x or
        # another state, and the gradient of the state arrives there untouched.
        kind = draw.choice(ENDS) if number else "gated"
        others = [state for state in range(len(self.states)) if state != number]
        of = (self._any(draw), self._any(draw))
        if kind == "affine":
            self.parts.append(nn.Linear(self.input_size, self.size))
            self.parts.append(nn.Linear(self.size, self.size, bias=draw.random() < 0.5))
            of = (1 + draw.randrange(len(self.states)), 0)
        elif kind == "decay":
            self.vectors.append(nn.Parameter(0.5 * torch.randn(self.size)))
        elif kind == "other":
            of = (1 + draw.choice(others), 0)
        elif kind == "same":
            of = (draw.randrange(number), 0)
        return Operation(kind, "", of)

    def _any(self, draw: random.Random) -> int:
        # A value of `hidden_size` features: all but x, the later ones more often.
        return max(draw.randrange(1, self.known), draw.randrange(1, self.known))

    def _draw(self, kind: str, draw: random.Random) -> None:
        first, second = self._any(draw), self._any(draw)
        results, detail = 1, ""
        if kind == "gates":
            results = draw.choice([2, 3, 4])
            self.parts.append(nn.Linear(self.input_size, results * self.size))
            self.parts.append(nn.Linear(self.size, results * self.size, bias=draw.random() < 0.5))
            detail = str(results)
        elif kind == "joined":
            self.parts.append(nn.Linear(self.input_size + self.size, self.size))
        elif kind == "unary":
            detail = draw.choice(UNARY)
        elif kind == "binary":
            detail = draw.choice(["add", "sub", "mul", "maximum", "minimum"])
        elif kind == "vector":
            self.vectors.append(nn.Parameter(0.5 * torch.randn(self.size)))
        elif kind == "norm":
            self.parts.append(nn.LayerNorm(self.size))
        self.recipe.append(Operation(kind, detail, (first, second)))
        self.known += results

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """One step, line by line."""
        values = [x, *states]
        parts, vectors = iter(self.parts), iter(self.vectors)
        for line in self.recipe:
            a, b = (values[number] for number in line.of)
            if line.kind == "gates":
                values += (next(parts)(x) + next(parts)(a)).chunk(int(line.detail), -1)
            elif line.kind == "joined":
                values.append(next(parts)(torch.cat([x, a], -1)))
            elif line.kind == "unary":
                values.append(_unary(line.detail, a))
            elif line.kind == "binary":
                values.append(getattr(torch, line.detail)(a, b))
            elif line.kind == "vector":
                values.append(a + next(vectors) * b)
            elif line.kind == "norm":
                values.append(next(parts)(a))
            elif line.kind == "softmax":
                values.append(a.softmax(-1) * b)
            elif line.kind == "heads":
                values.append(torch.einsum("bhd,hed->bhe", a.unflatten(-1, (2, -1)), self.heads).flatten(1))
            elif line.kind == "choice":
                values.append(torch.where(a > b, a, 0.5 * b))
            else:
                values.append(a * b.mean(-1, keepdim=True) - 0.1)
        new = []
        for old, end in zip(states, self.ends, strict=True):
            first, second = end.of
            if end.kind == "gated":
                keep = values[first].sigmoid()
                new.append(keep * old + (1 - keep) * values[second].tanh())
            elif end.kind == "affine":
                new.append(next(parts)(x) + 0.1 * next(parts)(values[first]))
            elif end.kind == "decay":
                new.append(0.5 * old + next(vectors))
            elif end.kind == "input":
                cut = x[..., -self.size :]
                new.append(torch.cat([cut, old[..., cut.shape[-1] :]], -1) if self.input_size < self.size else cut)
            elif end.kind == "other":
                new.append(values[first])
            else:
                new.append(new[first])
        return tuple(new)


def _unary(name: str, a: Tensor) -> Tensor:
    if hasattr(torch, name):
        applied: Tensor = getattr(torch, name)(a)
        return applied
    applied = getattr(functional, name)(a)
    return applied


def random_cell(seed: int, input_size: int = 9, hidden_size: int = 8) -> Cell:
    """The cell of a seed; its weights are drawn from the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RandomCell(input_size, hidden_size, seed)
