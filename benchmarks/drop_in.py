"""Does steploom.LSTM cost anything over torch.nn.LSTM, whose place it takes?

    python benchmarks/drop_in.py

Equality first: no time is printed over a wrong result. Each time is the least of several runs, forward and backward
together. The last column is the reference engine, the loop over the cell that gives everything its meaning.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

import steploom

SHAPES = [(64, 32, 128), (256, 16, 128), (64, 1, 128), (35, 20, 200), (50, 64, 512)]
REPEATS = 7


def outputs_and_gradients(lstm: torch.nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    lstm.zero_grad()
    x = x.detach().clone().requires_grad_()
    y, (h, c) = lstm(x)
    (y.square().sum() + h.sum() + c.sum()).backward()
    return [y, h, c, x.grad, *(p.grad.clone() for p in lstm.parameters())]


def least_seconds(*runs: Callable[[], object]) -> list[float]:
    """The least time of each; they take turns, so that a busy moment of the machine falls on all of them."""
    times: list[list[float]] = [[] for _ in runs]
    for repeat in range(REPEATS + 1):
        for run, taken in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            if repeat > 0:  # the first of each only warms up
                taken.append(time.perf_counter() - start)
    return [min(taken) for taken in times]


def compare(theirs: torch.nn.LSTM, ours: torch.nn.LSTM, x: torch.Tensor, tolerance: float) -> None:
    """Outputs, final states and all gradients; `tolerance` is a share of the largest value."""
    for a, b in zip(outputs_and_gradients(theirs, x), outputs_and_gradients(ours, x), strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=tolerance * float(a.detach().abs().max()))


def measure(steps: int, batch: int, hidden: int) -> tuple[float, float, float]:
    """Milliseconds of torch.nn, of Steploom, and of Steploom's reference engine."""
    theirs, ours = torch.nn.LSTM(hidden, hidden), steploom.LSTM(hidden, hidden)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(steps, batch, hidden)
    compare(theirs, ours, x, tolerance=0.0)
    first, second = least_seconds(lambda: outputs_and_gradients(theirs, x), lambda: outputs_and_gradients(ours, x))
    with steploom.use_engine("reference"):
        compare(theirs, ours, x, tolerance=1e-4)
        (third,) = least_seconds(lambda: outputs_and_gradients(ours, x))
    return 1e3 * first, 1e3 * second, 1e3 * third


def main() -> None:
    torch.manual_seed(0)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, float32, milliseconds")
    print(f"{'time':>5} {'batch':>6} {'hidden':>7} {'torch.nn':>9} {'steploom':>9} {'ratio':>6} {'reference':>10}")
    for steps, batch, hidden in SHAPES:
        first, second, third = measure(steps, batch, hidden)
        print(f"{steps:5} {batch:6} {hidden:7} {first:9.2f} {second:9.2f} {second / first:6.2f} {third:10.2f}")


if __name__ == "__main__":
    main()
