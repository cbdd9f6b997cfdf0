"""Drop-in layers: the short way to the core, and calls that must take the long one."""

import copy
import gc
import warnings
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize

import steploom
import steploom.layers.drop_in as drop_in
from steploom import LSTM, use_engine
from steploom.errors import OptionError
from steploom.layers.drop_in_repeat import Way

X = torch.randn(6, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which way each call of a layer went."""
    taken: list[str] = []
    short_way = drop_in.short_way

    def noted(module: nn.RNNBase, x: Tensor) -> Way | None:
        way = short_way(module, x)
        taken.append("long" if way is None else "short")
        return way

    monkeypatch.setattr(drop_in, "short_way", noted)
    return taken


def layer(kind: str = "LSTM", **options: object) -> nn.RNNBase:
    torch.manual_seed(1)
    made: nn.RNNBase = getattr(steploom, kind)(4, 5, **options).double()
    return made


def expected(rnn: nn.RNNBase, *arguments: object) -> object:
    with use_engine("reference"), torch.no_grad():
        return rnn(*arguments)


def steps(x: Tensor) -> Tensor:
    return x.clone().requires_grad_()


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_both_ways_give_the_same(kind: str, batch_first: bool, options: dict[str, object], ways: list[str]) -> None:
    short = layer(kind, batch_first=batch_first, **options)
    long = parametrized(layer(kind, batch_first=batch_first, **options))
    for state in (None, expected(short, X.flip(0))[1]):  # type: ignore[index]
        results = []
        ways.clear()
        for rnn in (short, long):
            x = steps(X)
            y, final = rnn(x, state)
            wanted = [x, rnn.weight_ih_l0, rnn.bias_hh_l0]
            parts = final if isinstance(final, tuple) else (final,)
            loss = y.sum() + sum(part.square().sum() for part in parts)
            results.append((y, final, torch.autograd.grad(loss, wanted)))
        assert ways == ["short"]  # the class of the other is one that the parametrization made
        torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
        torch.testing.assert_close(results[0][:2], expected(short, X, state))


def replace(rnn: nn.RNNBase) -> None:
    rnn.weight_ih_l0 = nn.Parameter(rnn.weight_ih_l0 * 2)


def refill(rnn: nn.RNNBase) -> None:
    rnn.weight_hh_l0.data = rnn.weight_hh_l0.data * 2


def lay_out_anew(rnn: nn.RNNBase) -> None:
    rnn.weight_hh_l0.data = rnn.weight_hh_l0.data.t().contiguous().t()


def step(rnn: nn.RNNBase) -> None:
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.mul_(1.5)


class Same(nn.Module):
    """Gives the weight itself, or, where `zero` says so, nothing of it."""

    zero = False

    def forward(self, weight: Tensor) -> Tensor:
        return weight * 0 if self.zero else weight


def parametrized(rnn: nn.RNNBase) -> nn.RNNBase:
    parametrize.register_parametrization(rnn, "weight_hh_l0", Same())
    return rnn


def with_weight_norm(rnn: nn.RNNBase) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        nn.utils.weight_norm(rnn, "weight_hh_l0")
    with torch.no_grad():
        rnn.weight_hh_l0_g.mul_(2)


@pytest.mark.parametrize("change", [replace, refill, lay_out_anew, step, parametrized, with_weight_norm])
def test_a_change_of_the_layer_is_seen(change: Callable[[nn.RNNBase], object]) -> None:
    rnn = layer()
    rnn(X), rnn(X)
    change(rnn)
    for _ in range(2):
        torch.testing.assert_close(rnn(X), expected(rnn, X))


def test_a_parametrization_is_asked_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    rnn = parametrized(layer())
    rnn(X), rnn(X)
    monkeypatch.setattr(Same, "zero", True)
    torch.testing.assert_close(rnn(X), expected(rnn, X))


def test_a_class_of_the_users_may_compute_its_weights() -> None:
    class Halved(LSTM):
        half = False

        def __getattr__(self, name: str) -> Tensor:
            value = super().__getattr__(name)
            return value / 2 if self.half and name == "weight_hh_l0" else value

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Halved)

        def __hash__(self) -> int:
            return 1

    rnn, other = Halved(4, 5).double(), Halved(4, 5).double()
    rnn(X), rnn(X)
    torch.testing.assert_close(other(X), expected(other, X))
    rnn.half = True
    torch.testing.assert_close(rnn(X), expected(rnn, X))


def test_a_hook_that_comes_later_is_called(ways: list[str]) -> None:
    rnn = layer()
    rnn(X)
    seen: list[object] = []
    rnn.register_forward_hook(lambda *arguments: seen.append(arguments[0]))
    rnn(X)
    assert seen == [rnn]
    assert ways == ["short", "short"]


def test_weights_of_another_dtype_are_refused() -> None:
    rnn = layer()
    rnn(X), rnn(X)
    rnn.weight_hh_l0.data = rnn.weight_hh_l0.data.float()
    with pytest.raises(OptionError, match="float32"), use_engine("native"):
        rnn(X)
    rnn = layer()
    rnn(X), rnn(X)
    with pytest.raises(Exception, match=r"(?i)float"):
        rnn.float()(X)


def test_states_are_checked_at_each_call() -> None:
    rnn = layer("GRU")
    rnn(X), rnn(X)
    with pytest.raises(RuntimeError, match=r"Expected hidden size \(1, 3, 5\)"):
        rnn(X, torch.zeros(1, 2, 5, dtype=torch.float64))
    with pytest.raises(OptionError, match=r"must be torch\.float64"):
        rnn(X, torch.zeros(1, 3, 5))


def test_each_kind_of_call_has_its_own_way(ways: list[str]) -> None:
    rnn = layer()
    for x in (X, X[:4], X[:, :2], X.transpose(0, 1)[:3].transpose(0, 1)):
        torch.testing.assert_close(rnn(x), expected(rnn, x))
    assert ways == ["short", "long"] * 4  # the reference engine is no short way
    torch.testing.assert_close(rnn(X[:, 0])[0], rnn(X)[0][:, 0])  # one sequence
    with pytest.raises(Exception, match=r"(?i)at least one step|sequence length"):
        rnn(X[:0])
    for _ in range(2):  # nothing of a call that failed is repeated
        with pytest.raises(RuntimeError, match=r"input\.size\(-1\)"):
            rnn(X[..., :2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rnn(X)
    assert ways[-1] == "long"


def test_dropout_between_layers_is_drawn_anew() -> None:
    rnn = layer(num_layers=2, dropout=0.5)
    rnn(X)
    assert not torch.equal(rnn(X)[0], rnn(X)[0])
    rnn.eval()
    rnn(X)
    torch.testing.assert_close(rnn(X), expected(rnn, X))


def test_other_weights_for_a_call_are_used(ways: list[str]) -> None:
    rnn = layer()
    doubled = copy.deepcopy(rnn)
    step(doubled)
    found = functional_call(rnn, dict(doubled.named_parameters()), (X,))
    assert ways == ["short"]
    torch.testing.assert_close(found, expected(doubled, X))
    torch.testing.assert_close(rnn(X), expected(rnn, X))


def test_nothing_of_a_layer_is_kept() -> None:
    rnn: nn.RNNBase | None = LSTM(4, 5).double()
    assert rnn is not None
    rnn.bound, rnn.own = rnn.forward, [rnn]  # type: ignore[assignment]
    rnn(X), rnn(X)
    gone = [weakref.ref(rnn), weakref.ref(rnn.weight_hh_l0)]
    rnn = None
    gc.collect()
    assert [there() for there in gone] == [None, None]
