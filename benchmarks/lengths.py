"""Sequences of unequal lengths in training: against torch.nn with PackedSequence, and against padding.

    python benchmarks/lengths.py

Lengths are uniform in [T/4, T]. The padded runs compute all steps and leave it to the loss to ignore the padding.
"""

from __future__ import annotations

import measure
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from steploom import Recurrent
from steploom.cells.registry import make_cell

POINTS = [(100, 32, 64, 128), (500, 32, 64, 128)]
LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU}
NAMES = {"weight_ih_l0": "input.weight", "weight_hh_l0": "recurrent.weight", "bias_ih_l0": "input.bias"}
NAMES["bias_hh_l0"] = "recurrent.bias"


def packed(layer: nn.RNNBase, x: Tensor, lengths: Tensor) -> Tensor:
    """The outputs of a layer of torch.nn, 0 in the padding."""
    y, _ = layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
    padded: Tensor = pad_packed_sequence(y, total_length=len(x))[0]
    return padded


def measured(name: str, point: measure.Point, quick: bool) -> measure.Record:
    """One layer, on the same sequences in all ways."""
    time, batch, input_size, hidden_size = point
    theirs = LAYERS[name](input_size, hidden_size)
    ours = Recurrent(make_cell(name, input_size, hidden_size), engine="native")
    ours.cell.load_state_dict({NAMES[key]: value for key, value in theirs.state_dict().items()})
    exact = LAYERS[name](input_size, hidden_size).double()
    exact.load_state_dict(theirs.state_dict())
    # Evenly spread, not drawn: a figure should not hang on the luck of a draw. Shuffled, as sequences come.
    lengths = torch.linspace(max(1, time // 4), time, batch).round().long()[torch.randperm(batch)]
    x = torch.randn(time, batch, input_size, requires_grad=True)
    inside = torch.arange(time)[:, None, None] < lengths[:, None]
    arriving = torch.randn(time, batch, hidden_size) * inside

    def train(layer: nn.Module, way: str, data: Tensor, grad: Tensor) -> list[Tensor | None]:
        def run() -> Tensor:
            if isinstance(layer, nn.RNNBase) and way == "packed":
                return packed(layer, data, lengths)
            y: Tensor = layer(data, lengths=lengths)[0] if way == "lengths" else layer(data)[0]
            return y

        parameters = dict(layer.named_parameters())
        order = [parameters.get(key, parameters.get("cells.0." + value)) for key, value in NAMES.items()]
        return measure.gradients(run, [data, *(p for p in order if p is not None)], grad)

    expected = train(exact, "packed", x.detach().double().requires_grad_(), arriving.double())
    worst = measure.check(f"steploom {name} {point}", train(ours, "lengths", x, arriving), expected)
    measure.check(f"torch packed {name} {point}", train(theirs, "packed", x, arriving), expected)
    sides: dict[str, measure.Side] = {
        "steploom": lambda: train(ours, "lengths", x, arriving),
        "steploom padded": lambda: train(ours, "padded", x, arriving),
        "torch packed": lambda: train(theirs, "packed", x, arriving),
        "torch padded": lambda: train(theirs, "padded", x, arriving),
        "sgemm": measure.sgemm()[0],
    }
    times = measure.alternate(sides, quick)
    gates = {"lstm": 4, "gru": 3}[name]
    gflop = 6e-9 * int(lengths.sum()) * gates * hidden_size * (input_size + hidden_size)
    return measure.record(name, point, "lengths", times, worst, gflop)


def main() -> None:
    given = measure.options((__doc__ or "").partition("\n")[0], POINTS)
    records = []
    for name in LAYERS:
        for point in given.points:
            records.append(measured(name, point, given.quick))
            measure.show(records[-1])
    measure.write(given, "lengths", records)


if __name__ == "__main__":
    main()
