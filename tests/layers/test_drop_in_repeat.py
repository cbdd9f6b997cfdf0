"""Drop-in layers: calls that skip what an earlier one found out, and those that must not."""

import copy
import gc
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
from steploom.layers import drop_in_repeat

X = torch.randn(6, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which way each call of a layer went."""
    taken: list[str] = []
    repeated = drop_in.repeated

    def noted(*arguments: object) -> object:
        found = repeated(*arguments)  # type: ignore[arg-type]
        taken.append("long" if found is None else "short")
        return found

    monkeypatch.setattr(drop_in, "repeated", noted)
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
def test_the_second_call_is_short_and_gives_the_same(
    kind: str, batch_first: bool, options: dict[str, object], ways: list[str]
) -> None:
    rnn = layer(kind, batch_first=batch_first, **options)
    for state in (None, expected(rnn, X.flip(0))[1]):  # type: ignore[index]
        ways.clear()
        results = []
        for _ in range(2):
            x = steps(X)
            y, final = rnn(x, state)
            wanted = torch.autograd.grad(y.sum() + sum(part.square().sum() for part in final), [x, *rnn.parameters()])
            results.append((y, final, wanted))
        assert ways[-1] == "short"
        torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
        torch.testing.assert_close(results[1][:2], expected(rnn, X, state))


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


def parametrized(rnn: nn.RNNBase) -> None:
    class Doubled(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    parametrize.register_parametrization(rnn, "weight_hh_l0", Doubled())


@pytest.mark.parametrize("change", [replace, refill, lay_out_anew, step, parametrized])
def test_a_change_of_the_layer_is_seen(change: Callable[[nn.RNNBase], None]) -> None:
    rnn = layer()
    rnn(X), rnn(X)
    change(rnn)
    for _ in range(2):
        torch.testing.assert_close(rnn(X), expected(rnn, X))


def test_a_hook_that_comes_later_is_called(ways: list[str]) -> None:
    rnn = layer()
    rnn(X), rnn(X)
    seen: list[object] = []
    rnn.register_forward_hook(lambda *arguments: seen.append(arguments[0]))
    rnn(X)
    assert seen == [rnn]
    assert ways == ["long", "short", "long"]


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


def test_each_kind_of_call_is_remembered_by_itself(ways: list[str]) -> None:
    rnn = layer(dropout=0.0)
    for x in (X, X[:4], X[:, :2]):
        rnn(x)
        torch.testing.assert_close(rnn(x), expected(rnn, x))
    assert ways.count("short") == 3
    rnn.eval()
    rnn(X), rnn(X)
    rnn.train()
    rnn(X)
    assert ways[-2:] == ["short", "short"]
    torch.testing.assert_close(rnn(X[:, 0])[0], rnn(X)[0][:, 0])  # one sequence


def test_dropout_between_layers_is_drawn_anew() -> None:
    rnn = layer(num_layers=2, dropout=0.5)
    rnn(X)
    assert not torch.equal(rnn(X)[0], rnn(X)[0])
    rnn.eval()
    rnn(X)
    torch.testing.assert_close(rnn(X), expected(rnn, X))


def test_other_weights_for_a_call_are_used(ways: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    watch = drop_in_repeat.Watch
    monkeypatch.setattr(drop_in_repeat, "Watch", lambda module: (made.append(module), watch(module))[1])
    rnn = layer()
    rnn(X), rnn(X)
    doubled = copy.deepcopy(rnn)
    step(doubled)
    for _ in range(40):
        found = functional_call(rnn, dict(doubled.named_parameters()), (X,))
        torch.testing.assert_close(found, expected(doubled, X))
    assert len(made) <= drop_in_repeat.MOST_WATCHES
    torch.testing.assert_close(rnn(X), expected(rnn, X))


def test_a_layer_is_forgotten() -> None:
    rnn: nn.RNNBase | None = LSTM(4, 5).double()
    assert rnn is not None
    rnn(X), rnn(X)
    gone = weakref.ref(rnn)
    rnn = None
    gc.collect()
    assert gone() is None
