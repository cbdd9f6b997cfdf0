"""Streaming: how long one step takes, and how much of that is Python.

    python benchmarks/streaming.py

One sequence of 32 features. The sides:

    steploom      `stream.push` with a NumPy array
    tensor        `stream.push` with a tensor
    kernel        the native step alone, called from C++
    python        steploom less kernel: what the way through Python costs
    torch cell    torch.nn.LSTMCell or GRUCell under inference_mode, the state carried along
    torch layer   torch.nn.LSTM or GRU on one step under inference_mode, the state carried along
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import measure
import numpy as np
import torch

from steploom import GRUCell, LSTMCell, Recurrent

POINTS = [(1, 1, 32, hidden) for hidden in (64, 128, 256, 512)]
SECONDS_A_TURN = 0.004
CELLS = {
    "lstm": (LSTMCell, torch.nn.LSTMCell, torch.nn.LSTM),
    "gru": (GRUCell, torch.nn.GRUCell, torch.nn.GRU),
}
# In float32; the states are below 1.
ALLOWED = 2e-6


class Peers:
    """One network in the hands of Steploom and of torch.nn."""

    def __init__(self, kind: str, features: int, hidden: int) -> None:
        ours, cell, layer = CELLS[kind]
        self.rnn = Recurrent(ours(features, hidden)).eval()
        self.cell, self.layer = cell(features, hidden).eval(), layer(features, hidden).eval()
        products = self.rnn.cell.input, self.rnn.cell.recurrent
        values = [*(product.weight.detach() for product in products), *(product.bias.detach() for product in products)]
        with torch.no_grad():
            for parameters in (self.cell.parameters(), self.layer.parameters()):
                for parameter, value in zip(parameters, values, strict=True):
                    parameter.copy_(value)
        self.stream = self.rnn.stream()
        self.features = features
        self.is_lstm = kind == "lstm"
        self.zeros = torch.zeros(1, hidden)

    def check(self) -> float:
        """The largest error of our outputs against float64.

        Raises:
            SystemExit: somebody's are wrong.
        """
        xs = torch.randn(20, 1, self.features)
        precise = (torch.nn.LSTM if self.is_lstm else torch.nn.GRU)(self.features, self.zeros.shape[1]).double()
        precise.load_state_dict(self.layer.state_dict())
        with torch.inference_mode():
            exact, _ = precise(xs.double())
            layer, _ = self.layer(xs)
            state: Any = (self.zeros, self.zeros) if self.is_lstm else self.zeros
            cell = []
            for x in xs:
                state = self.cell(x, state)
                cell.append(state[0] if self.is_lstm else state)
        tensors = torch.stack([self.stream.push(x) for x in xs])
        self.stream.reset()
        arrays = torch.from_numpy(np.stack([self.stream.push(x.numpy()) for x in xs]))
        measure.check("torch layer", [layer], [exact], ALLOWED)
        measure.check("torch cell", [torch.stack(cell)], [exact], ALLOWED)
        return max(measure.check("push", [found], [exact], ALLOWED) for found in (tensors, arrays))

    def sides(self) -> dict[str, Callable[[int], None]]:
        """What makes a number of steps."""
        array = np.random.default_rng(0).standard_normal((1, self.features)).astype(np.float32)
        tensor = torch.from_numpy(array)
        out = np.zeros((1, self.zeros.shape[1]), np.float32)
        native, push, cell, layer = self.stream._core, self.stream.push, self.cell, self.layer
        sequence = tensor.unsqueeze(0)
        first = (self.zeros, self.zeros) if self.is_lstm else self.zeros
        first_layer = tuple(part.unsqueeze(0) for part in first) if self.is_lstm else self.zeros.unsqueeze(0)

        def kernel(count: int) -> None:
            native.run(array.ctypes.data, out.ctypes.data, count, 0, 0)

        def numpy(count: int) -> None:
            for _ in range(count):
                push(array)

        def tensors(count: int) -> None:
            for _ in range(count):
                push(tensor)

        def cells(count: int) -> None:
            state = first
            with torch.inference_mode():
                for _ in range(count):
                    state = cell(tensor, state)

        def layers(count: int) -> None:
            state = first_layer
            with torch.inference_mode():
                for _ in range(count):
                    _, state = layer(sequence, state)

        return {"steploom": numpy, "tensor": tensors, "kernel": kernel, "torch cell": cells, "torch layer": layers}


def timed(run: Callable[[int], None]) -> Callable[[], float]:
    """Seconds a step, over as many steps as a turn has time for."""

    def seconds(count: int) -> float:
        start = time.perf_counter()
        run(count)
        return (time.perf_counter() - start) / count

    seconds(20)
    count = max(5, int(SECONDS_A_TURN / seconds(20)))
    return lambda: seconds(count)


def compare(kind: str, point: measure.Point, quick: bool) -> measure.Record:
    """One line of the table."""
    peers = Peers(kind, point[2], point[3])
    worst = peers.check()
    taken = measure.alternate({name: timed(run) for name, run in peers.sides().items()}, quick)
    ours = taken["steploom"]
    ratios = {name: taken[name] / ours for name in ("torch cell", "torch layer")}
    fastest = min(ratios, key=lambda name: ratios[name])
    taken["python"] = ours - taken["kernel"]
    return {
        "name": kind,
        "point": list(point),
        "what": "step",
        "milliseconds": {name: 1e3 * value for name, value in taken.items()},
        "fastest_peer": fastest,
        "ratio": ratios[fastest],
        "ratios": ratios,
        "error": worst,
    }


def show(line: measure.Record) -> None:
    """Print a line as soon as it is there."""
    times = "".join(f"{1e3 * value:12.2f}" for value in line["milliseconds"].values())
    ratios = "".join(f"{value:12.1f}" for value in line["ratios"].values())
    print(f"{line['name']:<5}{line['point'][3]:6}{times}{ratios}{line['error']:9.0e}", flush=True)


def main() -> None:
    given = measure.options((__doc__ or "").partition("\n")[0], POINTS)
    names = ("steploom", "tensor", "kernel", "torch cell", "torch layer", "python", "x cell", "x layer")
    print("microseconds a step\n" + " " * 11 + "".join(f"{name:>12}" for name in names) + f"{'error':>9}")
    records = []
    for kind in CELLS:
        for point in given.points:
            records.append(compare(kind, point, given.quick))
            show(records[-1])
    measure.write(given, "streaming", records)


if __name__ == "__main__":
    main()
