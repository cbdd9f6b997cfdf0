"""A bug in a cell of the user's own is no fault of Steploom."""

import pytest
import torch

from steploom.cells.lstm import LSTMCell
from steploom.cells.simple import RNNCell
from steploom.cli.own_cell import fault_of_a_cell


class Late(RNNCell):
    def forward(self, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if len(x) > 2:
            return (torch.cat([x, h[:1]], -1),)
        return super().forward(x, h)


def test_the_line_of_the_cell_is_named() -> None:
    cell = Late(2, 3)
    cell(torch.zeros(2, 2), torch.zeros(2, 3))
    with pytest.raises(RuntimeError) as caught:
        torch.nn.Sequential(cell)[0](torch.zeros(3, 2), torch.zeros(3, 3))
    words = fault_of_a_cell(caught.value)
    assert words is not None
    assert words.startswith(f"the cell Late failed in {__file__}, line 14: RuntimeError: Sizes of tensors must match")
    assert "\n" not in words


def test_other_faults_stay_ours() -> None:
    with pytest.raises(ValueError, match="invalid") as caught:
        int("x")
    assert fault_of_a_cell(caught.value) is None
    with pytest.raises(TypeError) as missing:
        LSTMCell(2, 3)(torch.zeros(1))
    assert fault_of_a_cell(missing.value) is None
