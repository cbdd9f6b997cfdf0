"""Programs and derivatives as equations."""

from pathlib import Path

import torch
from torch import Tensor

from steploom.cells.registry import make_cell
from steploom.program.trace import trace
from tests.program.step import Step, step_cell

LSTM = """\
LSTMCell: x(3), h(4), c(4)
    t1 = input.weight @ x
    t2 = t1 + input.bias
    t3 = t2 + recurrent.bias
    t4 = recurrent.weight @ h
    t5 = t3 + t4
    i = t5[0:4]
    f = t5[4:8]
    g = t5[8:12]
    o = t5[12:16]
    t6 = σ(f)
    t7 = t6 ⊙ c
    t8 = σ(i)
    t9 = tanh(g)
    t10 = t8 ⊙ t9
    c' = t7 + t10
    t11 = σ(o)
    t12 = tanh(c')
    h' = t11 ⊙ t12
    return h', c'"""


def test_a_program_reads_as_equations_with_the_names_of_the_cell() -> None:
    assert str(trace(make_cell("lstm", 3, 4))) == LSTM


def test_a_derivative_reads_as_equations() -> None:
    text = str(trace(make_cell("rnn", 3, 4)).derivative)
    assert text.splitlines() == [
        "derivative of RNNCell: dh'",
        "    d1 = tanh_grad(dh', h')",
        "    d2 = recurrent.weightᵀ @ d1",
        "    d3 = input.weightᵀ @ d1",
        "    d recurrent.weight += d1ᵀ h",
        "    d input.weight += d1ᵀ x",
        "    d recurrent.bias += d1",
        "    d input.bias += d1",
        "    return dx = d3, dh = d2",
    ]


def test_each_instruction_knows_its_line() -> None:
    program = trace(make_cell("lstm", 3, 4))
    assert all(i.source is not None and i.source.startswith("lstm.py:") for i in program.instructions)


def test_names_that_occur_twice_are_numbered() -> None:
    def equations(s: Step, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        gate = s.square(h)
        gate = gate.sigmoid()
        gate = gate * 2
        h = h * gate
        return h.tanh(), c

    names = [i.out.name for i in trace(step_cell(equations)).instructions]
    assert names == ["gate", "gate1", "gate2", "h1", "h'"]


def test_where_and_numbers() -> None:
    text = str(trace(step_cell(lambda s, x, h, c: (torch.where(h > 0.5, h, 2 * c), c))))
    assert "t1 = h > 0.5" in text
    assert "t2 = c · 2" in text
    assert "h' = where(t1, h, t2)" in text


def test_the_page_about_programs_shows_what_is_printed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "concepts" / "programs.md").read_text(encoding="utf-8")
    program = trace(make_cell("lstm", 3, 4))
    for shown in (program, program.derivative):
        assert f"```text\n{shown}\n```" in page
