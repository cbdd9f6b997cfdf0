"""The laws of `Recurrent` for random shapes, lengths and resets, on every engine, float64."""

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steploom.cells.registry import cell_names, make_cell
from steploom.engine.choice import use_engine
from steploom.layers.recurrent import Recurrent

laws = settings(max_examples=60, deadline=None, derandomize=True)

CLOSE = {"rtol": 1e-9, "atol": 1e-9}


@st.composite
def cases(draw):
    """A bidirectional stack, its input and state, with lengths and resets."""
    time, batch = draw(st.integers(1, 9)), draw(st.integers(1, 5))
    torch.manual_seed(draw(st.integers(0, 99)))
    cell = make_cell(draw(st.sampled_from(cell_names())), draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    rnn = Recurrent(cell, draw(st.integers(1, 2)), bidirectional=draw(st.booleans())).double()
    x = torch.randn(time, batch, cell.input_size, dtype=torch.float64)
    state = tuple(torch.randn_like(part) for part in rnn.initial_state(batch))
    lengths = torch.tensor(draw(st.lists(st.integers(0, time), min_size=batch, max_size=batch)))
    resets = torch.rand(time, batch) < draw(st.sampled_from([0.0, 0.2, 0.7]))
    return rnn, x, state, lengths, resets


@laws
@given(cases())
def test_engines_agree(case):
    rnn, *call = case
    with use_engine("reference"):
        expected = rnn(*call)
    torch.testing.assert_close(rnn(*call), expected, **CLOSE)


@laws
@given(cases())
def test_a_batch_is_its_rows_cut_at_the_resets(case):
    """With lengths and resets: each row's segments run alone, without either, give the same outputs."""
    rnn, x, state, lengths, resets = case
    rnn = Recurrent(rnn.cells[0], bidirectional=False)
    state = tuple(part[:1] for part in state)
    y, final = rnn(x, state, lengths, resets)
    for row, length in enumerate(lengths.tolist()):
        starts = [step for step in range(length) if resets[step, row]]
        own = tuple(part[:, row : row + 1] for part in state)
        for start, end in pairwise([0, *starts, length]):
            own = rnn.initial_state(1) if start in starts else own
            if end > start:
                part, own = rnn(x[start:end, row : row + 1], own)
                torch.testing.assert_close(y[start:end, row : row + 1], part, **CLOSE)
        torch.testing.assert_close(tuple(part[:, row : row + 1] for part in final), own, **CLOSE)
        assert not y[length:, row].any()


@laws
@given(cases(), st.integers(1, 8))
def test_two_chunks_with_resets_are_one_run(case, cut):
    rnn, x, _, _, resets = case
    rnn = Recurrent(rnn.cells[0], residual=True)
    if cut >= len(x):
        return
    whole, final = rnn(x, resets=resets)
    first, state = rnn(x[:cut], resets=resets[:cut])
    second, state = rnn(x[cut:], state, resets=resets[cut:])
    torch.testing.assert_close(torch.cat([first, second]), whole, **CLOSE)
    torch.testing.assert_close(state, final, **CLOSE)


@laws
@given(cases())
def test_the_reversed_direction_is_a_run_over_reversed_segments(case):
    """With lengths and resets, each segment of each row is turned and run alone."""
    rnn, x, state, lengths, resets = case
    rnn = Recurrent(rnn.cells[0], bidirectional=True)
    backwards = Recurrent(rnn.cells[1])
    state = tuple(part[:1].expand(2, -1, -1) for part in state)
    y, final = rnn(x, state, lengths, resets)
    size = backwards.output_size
    for row, length in enumerate(lengths.tolist()):
        starts = [0, *(step for step in range(1, length) if resets[step, row])]
        own = tuple(part[1:, row : row + 1] for part in state)
        for start, end in reversed(list(zip(starts, [*starts[1:], length], strict=True))):
            if end > start:
                own = own if end == length else backwards.initial_state(1)
                part, own = backwards(x[start:end, row : row + 1].flip(0), own)
                torch.testing.assert_close(y[start:end, row : row + 1, size:], part.flip(0), **CLOSE)
        torch.testing.assert_close(tuple(part[1:, row : row + 1] for part in final), own, **CLOSE)


@laws
@given(cases())
def test_padding_is_never_read(case):
    rnn, x, state, lengths, resets = case
    padded = torch.arange(len(x))[:, None] >= lengths
    spoilt = torch.where(padded.unsqueeze(-1), torch.inf, x)
    for engine in ("auto", "reference"):
        with use_engine(engine):
            clean = rnn(x, state, lengths, resets & ~padded)
            torch.testing.assert_close(rnn(spoilt, state, lengths, resets | padded), clean, **CLOSE)
