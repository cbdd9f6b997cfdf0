"""Calls that skip what an earlier one found out, and those that must not."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.func import functional_call, vmap
from torch.nn.utils import parametrize

import steploom.layers.stack as stack
from steploom import LSTMCell, Recurrent, use_engine
from steploom.errors import OptionError

X = torch.randn(6, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which way each call of a layer went."""
    taken: list[str] = []
    repeat_of = stack.repeat_of

    def noted(*arguments: object) -> object:
        found = repeat_of(*arguments)  # type: ignore[arg-type]
        taken.append("long" if found is None else "short")
        return found

    monkeypatch.setattr(stack, "repeat_of", noted)
    return taken


def layer(**options: object) -> Recurrent:
    torch.manual_seed(1)
    return Recurrent(LSTMCell(4, 5).double(), **{"engine": "native", **options})  # type: ignore[arg-type]


def expected(rnn: Recurrent, x: Tensor = X) -> Tensor:
    with use_engine("reference"):
        other = copy.deepcopy(rnn)
        object.__setattr__(other.stack, "engine", "auto")
        return other(x)[0]


def test_the_second_call_is_short_and_gives_the_same(ways: list[str]) -> None:
    rnn = layer(num_layers=2, bidirectional=True)
    first, second = rnn(X)[0], rnn(X)[0]
    assert ways == ["long"] * 4 + ["short"] * 4
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_come_from_the_weights_as_they_are_now(training: bool, ways: list[str]) -> None:
    rnn = layer()
    rnn(X)
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.mul_(1.5)
    if not training:
        rnn.requires_grad_(False)
    x = X.clone().requires_grad_()
    y = rnn(x)[0]
    assert ways[-1] == "short"
    wanted = [x, *rnn.parameters()] if training else [x]
    found = torch.autograd.grad(y.sum(), wanted)
    with use_engine("reference"):
        reference = layer(engine="reference")
    reference.load_state_dict(rnn.state_dict())
    other = X.clone().requires_grad_()
    right = torch.autograd.grad(reference(other)[0].sum(), [other, *reference.parameters()] if training else [other])
    torch.testing.assert_close(found, right)


def lay_out_anew(rnn: Recurrent) -> None:
    weight = rnn.cell.input.weight
    weight.data = weight.data.t().contiguous().t()


def replace(rnn: Recurrent) -> None:
    rnn.cell.input.weight = nn.Parameter(rnn.cell.input.weight * 2)


def refill(rnn: Recurrent) -> None:
    rnn.cell.input.weight.data = rnn.cell.input.weight.data * 2


def parametrized(rnn: Recurrent) -> None:
    class Doubled(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    parametrize.register_parametrization(rnn.cell.input, "weight", Doubled())


def hooked(rnn: Recurrent) -> None:
    rnn.cell.register_forward_hook(lambda cell, args, states: tuple(2 * state for state in states))


def another_class(rnn: Recurrent) -> None:
    class Other(LSTMCell):
        def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
            h, c = super().forward(x, h, c)
            return 2 * h, c

    rnn.cell.__class__ = Other


@pytest.mark.parametrize("change", [lay_out_anew, replace, refill, parametrized, hooked, another_class])
def test_a_change_of_the_cell_is_seen(change) -> None:
    rnn = layer(engine="auto")
    before = rnn(X)[0]
    assert torch.equal(before, rnn(X)[0])
    change(rnn)
    torch.testing.assert_close(rnn(X)[0], expected(rnn))


def test_weights_of_another_shape_or_dtype_are_refused() -> None:
    rnn = layer()
    rnn(X), rnn(X)
    weight = rnn.cell.input.weight
    weight.data = weight.data[:, :2]
    with pytest.raises(Exception, match="cannot be multiplied"):
        rnn(X)
    rnn = layer()
    rnn(X), rnn(X)
    rnn.cell.input.weight.data = rnn.cell.input.weight.data.float()
    with pytest.raises(Exception, match="float"):
        rnn(X)


def test_each_kind_of_call_is_remembered_by_itself(ways: list[str]) -> None:
    rnn = layer(engine="auto")
    for x in (X, X[:4], X[:, :2]):
        rnn(x)
        torch.testing.assert_close(rnn(x)[0], expected(rnn, x))
    with use_engine("reference"):
        rnn(X)
    assert ways.count("short") == 3
    lengths = torch.tensor([6, 2, 4])
    y, _ = rnn(X, lengths=lengths)
    assert not y[2:, 1].any()


def test_layers_that_share_a_cell_keep_their_own_options() -> None:
    cell = LSTMCell(4, 5).double()
    plain, mixed = Recurrent(cell), Recurrent(cell, zoneout=0.5)
    plain.eval()
    for _ in range(2):
        a, b = plain(X)[0], mixed(X)[0]
        assert not torch.allclose(a, b)
        torch.testing.assert_close(a, expected(plain))


def test_states_are_carried_and_learnt_initial_states_are_read(ways: list[str]) -> None:
    rnn = layer()
    whole = rnn(X)[0]
    _, state = rnn(X[:3])
    _, state = rnn(X[:3])
    second, _ = rnn(X[3:], state)
    assert ways[-1] == "short"
    torch.testing.assert_close(torch.cat([whole[:3], second]), whole)


def test_transforms_and_other_modes_are_seen() -> None:
    rnn = layer(engine="auto")
    rnn(X), rnn(X)
    weights = {name: 2 * value for name, value in rnn.named_parameters()}
    doubled = copy.deepcopy(rnn)
    doubled.load_state_dict(weights)
    torch.testing.assert_close(functional_call(rnn, weights, (X,))[0], expected(doubled))
    with pytest.raises(OptionError, match="vmap"):
        vmap(lambda x: rnn(x)[0])(X.unsqueeze(0))
    with torch.inference_mode():
        torch.testing.assert_close(rnn(X)[0], expected(rnn))
    single = layer(engine="auto").float()
    single(X.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert single(X.bfloat16())[0].dtype is torch.float32


def test_copies_know_nothing_of_the_calls_before() -> None:
    rnn = layer(engine="auto")
    rnn(X), rnn(X)
    for other in (copy.deepcopy(rnn), pickle.loads(pickle.dumps(rnn))):  # noqa: S301 # its own bytes
        with torch.no_grad():
            other.cell.input.weight.mul_(3)
        torch.testing.assert_close(other(X)[0], expected(other))
        torch.testing.assert_close(rnn(X)[0], expected(rnn))


class Started(LSTMCell):
    """Begins with whatever stands in STARTS."""

    def initial_state(self, batch: int, dtype=None, device=None) -> tuple[Tensor, ...]:
        return tuple(STARTS)


STARTS: list[Tensor] = []


def test_what_a_cell_begins_with_is_checked_at_each_call(ways: list[str]) -> None:
    torch.manual_seed(1)
    rnn = Recurrent(Started(4, 5).double(), engine="native")
    STARTS[:] = [torch.ones(3, 5, dtype=torch.float64)] * 2
    rnn(X)
    torch.testing.assert_close(rnn(X)[0], expected(rnn))
    assert ways[-2] == "short"
    STARTS[:] = [torch.ones(3, 5)] * 2
    with pytest.raises(OptionError, match=r"state `h` must be torch\.float64"):
        rnn(X)
    STARTS[:] = STARTS[:1]
    with pytest.raises(OptionError, match="must be 2 tensors"):
        rnn(X)


def test_a_cell_that_says_it_is_equal_keeps_its_own_weights() -> None:
    class Alike(LSTMCell):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Alike)

        def __hash__(self) -> int:
            return 1

    torch.manual_seed(1)
    first, second = (Recurrent(Alike(4, 5).double(), engine="native") for _ in range(2))
    first(X), first(X)
    torch.testing.assert_close(second(X)[0], expected(second))
    torch.testing.assert_close(first(X)[0], expected(first))


@pytest.mark.parametrize(
    "register", ["register_forward_hook", "register_full_backward_hook", "register_full_backward_pre_hook"]
)
def test_hooks_that_come_later_are_called(register: str) -> None:
    rnn = layer(engine="auto")
    x = X.clone().requires_grad_()
    rnn(x)[0].sum().backward()
    seen: list[object] = []
    getattr(rnn.cell, register)(lambda *arguments: seen.append(arguments[0]))
    rnn(x)[0].sum().backward()
    assert seen


def test_weights_that_are_computed_are_computed_once_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    rnn = layer(engine="auto")
    calls: list[int] = []

    class Counted(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    parametrize.register_parametrization(rnn.cell.input, "weight", Counted())
    rnn(X)
    from steploom.program.prologue import Prologue

    compute = Prologue.__call__
    monkeypatch.setattr(Prologue, "__call__", lambda self, *given: (calls.append(1), compute(self, *given))[1])
    rnn(X), rnn(X)
    assert len(calls) == 2


@pytest.mark.parametrize("calls_before", [0, 2])
def test_a_tensor_without_numbers_gets_a_result_without_numbers(calls_before: int) -> None:
    rnn, native = layer(engine="auto"), layer(engine="native")
    for _ in range(calls_before):
        rnn(X), native(X)
    with FakeTensorMode(allow_non_fake_inputs=True):
        y, _ = rnn(torch.empty(6, 3, 4, dtype=torch.float64))
        assert isinstance(y, FakeTensor)
        assert y.shape == (6, 3, 5)
        with pytest.raises(OptionError, match="FakeTensor"):
            native(torch.empty(6, 3, 4, dtype=torch.float64))
