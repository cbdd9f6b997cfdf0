"""Copy, reverse or sort sequences of symbols: what attention is for, in a minute or three.

    python examples/toy_sequences.py
    python examples/toy_sequences.py sort --longest 20 --minutes 3
    python examples/toy_sequences.py copy --longest 20 --hard

Prints the share of sequences never seen in training that come out right in every symbol, and where the network looked
while it wrote one of them.
"""

import argparse
import time

import torch
from torch import Tensor

from steploom.decoding.generate import generate
from steploom.decoding.settings import DecodingSettings
from steploom.models.encoder_decoder import EncoderDecoder
from steploom.models.output_loss import IGNORED
from steploom.models.recurrent_shape import RecurrentShape

BEGIN, END, FIRST = 0, 1, 2
"""The symbols stand behind the two special tokens."""

WHAT = {
    "copy": lambda source: source,
    "reverse": lambda source: source.flip(0),
    "sort": lambda source: source.sort().values,
}


def draw(task: str, count: int, symbols: int, longest: int, generator: torch.Generator) -> dict[str, Tensor]:
    """A batch of random sequences of 1 to `longest` symbols, each with what it is to become."""
    lengths = torch.randint(1, longest + 1, (count,), generator=generator)
    sources = [torch.randint(FIRST, FIRST + symbols, (int(n),), generator=generator) for n in lengths]
    wanted = [WHAT[task](source) for source in sources]
    pad = torch.nn.utils.rnn.pad_sequence
    return {
        "source": pad(sources, padding_value=END),
        "source_lengths": lengths,
        "target_input": pad([torch.cat((torch.tensor([BEGIN]), w)) for w in wanted], padding_value=BEGIN),
        "target": pad([torch.cat((w, torch.tensor([END]))) for w in wanted], padding_value=IGNORED),
    }


def network(symbols: int, hidden_size: int, hard: bool) -> EncoderDecoder:
    """A bidirectional encoder, and a decoder that looks back."""
    tokens = FIRST + symbols
    return EncoderDecoder(
        tokens,
        tokens,
        begin=BEGIN,
        end=END,
        encoder=RecurrentShape("gru", hidden_size // 2, bidirectional=True),
        decoder=RecurrentShape("gru", hidden_size),
        embedding_size=hidden_size // 2,
        attention="general",
        input_feeding=False,
        hard=hard,
    )


def exact(model: EncoderDecoder, batch: dict[str, Tensor], longest: int) -> float:
    """The share of sequences that greedy decoding gets right in every symbol."""
    model.eval()
    with torch.no_grad():
        state = model.encode(batch["source"], batch["source_lengths"])
    start = batch["target_input"][0]
    found = generate(model, start, state, DecodingSettings(max_new_tokens=longest + 1, end_token=END))
    model.train()
    wanted = [[int(t) for t in row if t not in (IGNORED, END)] for row in batch["target"].t()]
    return sum(list(made[0].tokens) == want for made, want in zip(found, wanted, strict=True)) / len(wanted)


def train(
    task: str,
    *,
    minutes: float = 3.0,
    goal: float = 0.99,
    symbols: int = 24,
    longest: int = 20,
    hidden_size: int = 128,
    batch_size: int = 64,
    hard: bool = False,
    seed: int = 0,
    verbose: bool = False,
) -> tuple[EncoderDecoder, float, float]:
    """A trained network, its exact match on 1,000 new sequences, and the minutes it took.

    Every batch is drawn anew. 1,000 other sequences tell when to stop.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    model = network(symbols, hidden_size, hard)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    check = draw(task, 1000, symbols, longest, generator)
    began, updates = time.monotonic(), 0
    while (spent := (time.monotonic() - began) / 60) < minutes:
        # The rate falls to nothing over the time there is.
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * max(0.02, 1 - spent / minutes)
        loss = model.loss(draw(task, batch_size, symbols, longest, generator))
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        updates += 1
        if updates % 200 == 0:
            found, each = exact(model, check, longest), (loss.total / loss.weight).item()
            if verbose:
                print(f"{60 * spent:4.0f} s  {updates:5d} updates  loss {each:.4f}  exact {found:.1%}")
            # Halfway from the goal to all of them: that goes for other sequences too.
            if found >= (1 + goal) / 2:
                break
    found = exact(model, draw(task, 1000, symbols, longest, generator), longest)
    return model, found, (time.monotonic() - began) / 60


@torch.no_grad()
def map_of(model: EncoderDecoder, source: list[int], written: list[int]) -> str:
    """Where the network looked: a row for each symbol it wrote, darker where it looked more."""
    model.eval()
    state = model.encode(torch.tensor(source)[:, None], torch.tensor([len(source)]))
    rows = ["   " + "".join(letter(token) for token in source)]
    for before, token in zip([BEGIN, *written], written, strict=False):
        _, state = model.step(torch.tensor([before]), state)
        weights = model.attention(state)[0]
        rows.append(f" {letter(token)} " + "".join(" .:+#"[round(4 * weight)] for weight in weights.tolist()))
    return "\n".join(rows)


def letter(token: int) -> str:
    """A symbol as people read it."""
    return chr(ord("a") + token - FIRST)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", default="reverse", choices=WHAT)
    parser.add_argument("--longest", type=int, default=5, help="symbols of the longest sequence")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--hard", action="store_true", help="look at one symbol at a time, learnt by reward")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    model, found, minutes = train(
        asked.task, minutes=asked.minutes, longest=asked.longest, hard=asked.hard, seed=asked.seed, verbose=True
    )
    print(f"{asked.task}: {found:.1%} of 1,000 new sequences are right in every symbol, after {minutes:.1f} minutes")
    source = torch.randint(FIRST, FIRST + 24, (asked.longest,))
    print(map_of(model, source.tolist(), WHAT[asked.task](source).tolist()))


if __name__ == "__main__":
    main()
