"""Beam search over a batch of sentences, against a plain PyTorch loop over the sentences with the same weights.

python benchmarks/decoding.py [--sentences N] [--beams N] [--threads N] [--hidden N] [--vocabulary N]

The plain loop is what one writes by hand: for each sentence `torch.nn.LSTM` reads it, and at each step
`torch.nn.LSTMCell` runs its hypotheses together. Both must find the same translations before a time is taken.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from steploom.decoding import DecodingSettings, generate
from steploom.models.encoder_decoder import EncoderDecoder
from steploom.models.recurrent_shape import RecurrentShape
from steploom.training.memory import keep_freed_memory

BEGIN, END = 0, 1


class PlainTranslator:
    """The network of an `EncoderDecoder` with one LSTM layer a side and general attention, in torch.nn alone."""

    def __init__(self, model: EncoderDecoder) -> None:
        self.model = model
        encoder, decoder = model.encoder.recurrent, model.decoder.recurrent
        size, hidden = model.encoder.embedding.embedding_dim, encoder.output_size // 2
        self.encoder = nn.LSTM(size, hidden, bidirectional=True)
        self.cell = nn.LSTMCell(model.decoder.embedding.embedding_dim, hidden)
        for suffix, cell in zip(("l0", "l0_reverse"), encoder.cells, strict=True):
            self._copy(self.encoder, f"_{suffix}", cell)
        self._copy(self.cell, "", decoder.cells[0])

    @staticmethod
    def _copy(to: nn.Module, suffix: str, cell: Any) -> None:
        for name, layer in (("ih", cell.input), ("hh", cell.recurrent)):
            getattr(to, f"weight_{name}{suffix}").data.copy_(layer.weight)
            getattr(to, f"bias_{name}{suffix}").data.copy_(layer.bias)

    @torch.no_grad()
    def translate(self, source: Tensor, beams: int, most: int, length_penalty: float) -> tuple[list[int], float]:
        """The best hypothesis of one sentence (time,) and its score."""
        model, decoder = self.model, self.model.decoder
        outputs, (h, c) = self.encoder(model.encoder.embedding(source)[:, None])
        maps: Any = model.bridge.maps[0]
        hidden = torch.tanh(maps["h"](h.transpose(0, 1).flatten(1)))
        cell = maps["c"](c.transpose(0, 1).flatten(1))
        values = outputs[:, 0]
        keys = cast(Any, decoder.attention).memory(values)
        running: list[tuple[list[int], float]] = [([], 0.0)]
        ended: list[tuple[list[int], float]] = []
        for step in range(most):
            tokens = torch.tensor([made[-1] if made else BEGIN for made, _ in running])
            hidden, cell = self.cell(decoder.embedding(tokens), (hidden, cell))
            context = (hidden @ keys.t()).softmax(-1) @ values
            vector = torch.tanh(cast(Any, decoder.combine)(torch.cat([context, hidden], -1)))
            logits = vector @ model.weight.t() + model.output_bias
            logits[:, BEGIN] = -torch.inf
            total = logits.log_softmax(-1) + torch.tensor([score for _, score in running])[:, None]
            best, places = total.flatten().topk(2 * beams)
            chosen: list[tuple[list[int], float]] = []
            rows = []
            for rank, (value, place) in enumerate(zip(best.tolist(), places.tolist(), strict=True)):
                row, token = divmod(place, total.shape[1])
                if token == END:
                    if rank < beams:
                        ended.append((running[row][0], value / (step + 1) ** length_penalty))
                elif len(chosen) < beams:
                    chosen.append(([*running[row][0], token], value))
                    rows.append(row)
            running = chosen
            hidden, cell = hidden[rows], cell[rows]
            ended = sorted(ended, key=lambda one: -one[1])[:beams]
            if len(ended) == beams and running[0][1] / (step + 1) ** length_penalty <= ended[-1][1]:
                return ended[0]
        ended += [(made, value / most**length_penalty) for made, value in running]
        return max(ended, key=lambda one: one[1])


def together(
    model: EncoderDecoder, source: Tensor, lengths: Tensor, settings: DecodingSettings
) -> list[tuple[list[int], float]]:
    """The same by Steploom, all sentences (time, sentences) at once. A translation is as long as its source at most."""
    with torch.no_grad():
        state = model.encode(source, lengths)
        start = torch.full((source.shape[1],), BEGIN)
        found = generate(model, start, state, settings, most_tokens=lengths, source_lengths=lengths)
    return [(list(best[0].tokens), best[0].score) for best in found]


def median_seconds(runs: Sequence[Callable[[], object]], times: int) -> list[float]:
    """Median wall times of several things that take turns."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(times):
        for place, run in enumerate(runs):
            start = time.perf_counter()
            run()
            seconds[place].append(time.perf_counter() - start)
    return [statistics.median(each) for each in seconds]


def main() -> None:
    """Measures and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("sentences", 128), ("beams", 5), ("threads", 1), ("hidden", 256), ("vocabulary", 8000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    # As the command line does: large results are not given back to the system at each step.
    keep_freed_memory()
    torch.manual_seed(0)
    shape = RecurrentShape("lstm", asked.hidden)
    bidirectional = RecurrentShape("lstm", asked.hidden, bidirectional=True)
    model = EncoderDecoder(
        asked.vocabulary,
        asked.vocabulary,
        begin=BEGIN,
        end=END,
        encoder=bidirectional,
        decoder=shape,
        embedding_size=asked.hidden,
        input_feeding=False,
    ).eval()
    with torch.no_grad():
        # Weights of a size at which hypotheses differ, as those of a trained model.
        model.weight.mul_(20)
        model.decoder.embedding.weight.mul_(10)
    lengths = torch.randint(6, 21, (asked.sentences,)).sort(descending=True).values
    source = torch.randint(2, asked.vocabulary, (int(lengths.max()), asked.sentences))
    settings = DecodingSettings(num_beams=asked.beams, end_token=END, max_new_tokens=30, banned_tokens=(BEGIN,))
    plain = PlainTranslator(model)

    def alone() -> list[tuple[list[int], float]]:
        return [
            plain.translate(source[:length, i], asked.beams, length, settings.length_penalty)
            for i, length in enumerate(lengths.tolist())
        ]

    ours, theirs = together(model, source, lengths, settings), alone()
    for one, other in zip(ours, theirs, strict=True):
        if one[0] != other[0] or abs(one[1] - other[1]) > 1e-4 * abs(other[1]):
            raise SystemExit(f"the two find different translations: {one} and {other}")
    batch, loop = median_seconds((lambda: together(model, source, lengths, settings), alone), 3)
    tokens = sum(len(made) for made, _ in ours)
    print(
        json.dumps(
            {
                "sentences": asked.sentences,
                "beams": asked.beams,
                "tokens": tokens,
                "milliseconds_a_sentence": round(1000 * batch / asked.sentences, 2),
                "plain_loop": round(1000 * loop / asked.sentences, 2),
                "ratio": round(loop / batch, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
