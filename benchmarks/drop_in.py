"""Does steploom.LSTM cost anything over torch.nn.LSTM, whose place it takes?

    python benchmarks/drop_in.py

Equality first: no time is printed over a wrong result. Each time is the least of several runs, forward and backward together.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

import steploom

SHAPES = [(64, 32, 128), (256, 16, 128), (64, 1, 128), (35, 20, 200), (128, 64, 512)]
REPEATS = 7


def outputs_and_gradients(lstm: torch.nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    lstm.zero_grad()
    x = x.detach().clone().requires_grad_()
    y, (h, c) = lstm(x)
    (y.square().sum() + h.sum() + c.sum()).backward()
    return [y, h, c, x.grad, *(p.grad.clone() for p in lstm.parameters())]


def least_seconds(run: Callable[[], object]) -> float:
    run()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    torch.manual_seed(0)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, float32, forward and backward")
    header = f"{'time':>5} {'batch':>5} {'hidden':>6} {'torch.nn':>10} {'steploom':>10} {'ratio':>6} {'reference':>10}"
    print(header)
    for steps, batch, hidden in SHAPES:
        theirs, ours = torch.nn.LSTM(hidden, hidden), steploom.LSTM(hidden, hidden)
        ours.load_state_dict(theirs.state_dict())
        x = torch.randn(steps, batch, hidden)
        with steploom.use_engine("reference"):
            for a, b in zip(outputs_and_gradients(theirs, x), outputs_and_gradients(ours, x), strict=True):
                torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-4 * max(1.0, float(a.detach().abs().max())))
            slow = least_seconds(lambda: outputs_and_gradients(ours, x))
        for a, b in zip(outputs_and_gradients(theirs, x), outputs_and_gradients(ours, x), strict=True):
            torch.testing.assert_close(b, a, rtol=0, atol=0)
        first = least_seconds(lambda: outputs_and_gradients(theirs, x))
        second = least_seconds(lambda: outputs_and_gradients(ours, x))
        times = f"{1e3 * first:7.2f} ms {1e3 * second:7.2f} ms {second / first:6.2f} {1e3 * slow:7.2f} ms"
        print(f"{steps:5} {batch:5} {hidden:6} {times}")


if __name__ == "__main__":
    main()
