"""A cell of your own: checked, run over a sequence, and trained on a toy problem.

    python examples/own_cell.py

The cell is the minimal gated unit of Zhou et al. 2016. It learns to add two marked numbers in a sequence of random ones
(the adding problem of Hochreiter & Schmidhuber 1997); who always answers 1 has a mean squared error of 0.167.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steploom import Cell, Recurrent
from steploom.testing import check_cell

TIME, BATCH, HIDDEN = 20, 64, 32


class MinimalGatedUnit(Cell):
    """One gate for both forgetting and updating (Zhou et al. 2016)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.states = {"h": hidden_size}
        self.gate = nn.Linear(input_size + hidden_size, hidden_size)
        self.candidate = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        f = self.gate(torch.cat([x, h], -1)).sigmoid()
        n = self.candidate(torch.cat([x, f * h], -1)).tanh()
        return ((1 - f) * h + f * n,)


def adding_problem(batch: int) -> tuple[Tensor, Tensor]:
    """Numbers and marks (time, batch, 2), and the sum of the two marked numbers (batch,)."""
    numbers = torch.rand(TIME, batch)
    order = torch.rand(TIME, batch).argsort(0)
    marks = ((order == 0) | (order == 1)).float()
    return torch.stack([numbers, marks], -1), (numbers * marks).sum(0)


def main() -> None:
    torch.manual_seed(0)
    check_cell(MinimalGatedUnit(3, 5))
    print("The cell keeps all laws: gradients, padding, chunks, batches, directions, resets.")
    rnn, readout = Recurrent(MinimalGatedUnit(2, HIDDEN)), nn.Linear(HIDDEN, 1)
    optimizer = torch.optim.Adam([*rnn.parameters(), *readout.parameters()], lr=1e-2)
    for step in range(1, 401):
        x, wanted = adding_problem(BATCH)
        y, _ = rnn(x)
        loss = (readout(y[-1]).squeeze(-1) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: mean squared error {loss.item():.4f}")


if __name__ == "__main__":
    main()
