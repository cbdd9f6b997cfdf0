"""The forecaster: what its loss and its forecasts may depend on, and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from steploom.cells.cell import Cell
from steploom.data.series.series import SeriesSet
from steploom.data.series.window_batches import DrawnWindows
from steploom.data.series.window_layout import Layout
from steploom.data.series.windows import Windows
from steploom.errors import OptionError
from steploom.models.forecaster import HEADS, Forecaster
from steploom.models.outputs import LEVELS, OUTPUTS
from steploom.models.recurrent_shape import RecurrentShape
from steploom.models.scaling import Scale
from tests.data.series.forecast_series import changed, hourly

CONTEXT, HORIZON = 30, 26  # longer than a day: the autoregressive head must feed its own values back as lags
ORIGINS = np.array([0, 1, 1]), np.array([200, 60, 350])
BOTH = pytest.mark.parametrize("head", HEADS)
ALL = pytest.mark.parametrize("output", OUTPUTS)


def forecaster(data: SeriesSet, head: str = "direct", output: str = "quantile", **options: object) -> Forecaster:
    rows = [(CONTEXT, len(s)) for s in data]
    logarithm = options.pop("logarithm", False if output == "negative_binomial" else None)
    layout = Layout.learn(data, rows, CONTEXT, HORIZON, logarithm=logarithm)  # type: ignore[arg-type]
    torch.manual_seed(0)
    members = options.pop("members", 2)
    shape = RecurrentShape("lstm", 6, **{"dropout": 0.1, **options})  # type: ignore[arg-type]
    return Forecaster(shape, layout, head=head, output=output, members=members)  # type: ignore[arg-type]


def series(output: str = "quantile") -> SeriesSet:
    return hourly(counts=output == "negative_binomial")


def windows(network: Forecaster, data: SeriesSet) -> tuple[dict[str, torch.Tensor], Scale]:
    return Windows(data, network.layout).at(*ORIGINS)


@BOTH
@ALL
def test_loss_and_forecast_have_their_shapes_and_order(head: str, output: str) -> None:
    data = series(output)
    network = forecaster(data, head, output)
    batch, scale = windows(network, data)
    loss = network.loss(batch)
    assert loss.total.shape == () and torch.isfinite(loss.total)
    assert float(loss.weight) == batch["target_observed"].sum()
    mean, quantiles = network.eval().predict(batch, scale)
    assert mean.shape == (3, HORIZON) and quantiles.shape == (3, HORIZON, 9)
    assert mean.dtype == quantiles.dtype == torch.float64
    assert (quantiles.diff(dim=-1) >= 0).all()
    assert torch.isfinite(mean).all() and torch.isfinite(quantiles).all()
    spread = quantiles[..., 8] - quantiles[..., 0]
    assert ((mean - quantiles[..., 4]).abs() <= spread + 1e-9).all()


@BOTH
@ALL
def test_every_weight_learns(head: str, output: str) -> None:
    data = series(output)
    network = forecaster(data, head, output)
    network.loss(windows(network, data)[0]).total.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@BOTH
def test_what_comes_after_the_origin_does_not_change_the_forecast(head: str) -> None:
    data = series()
    network = forecaster(data, head).eval()
    before = network.predict(*windows(network, data))
    later = changed(changed(data, 0, 200, 1e4, ("target", "past")), 1, 350, np.nan, ("target", "past"))
    after = network.predict(*windows(network, later))
    for i in (0, 2):
        assert torch.equal(before[0][i], after[0][i]) and torch.equal(before[1][i], after[1][i])
    moved = network.predict(*windows(network, changed(data, 0, 199, 1e4)))
    assert not torch.equal(before[1][0], moved[1][0])


@BOTH
@ALL
def test_missing_values_reach_neither_loss_nor_gradient(head: str, output: str) -> None:
    data = series(output)
    network = forecaster(data, head, output, dropout=0.0, members=1).eval()
    batch, _ = windows(network, data)
    hidden = {name: value.clone() for name, value in batch.items()}
    for name, flags in (("values", "observed"), ("target", "target_observed"), ("lags", "lags_observed")):
        assert (batch[flags] == 0).any()
        assert (batch[name][batch[flags] == 0] == 0).all(), "a missing value enters as 0"
    empty = {name: value.clone() for name, value in batch.items()}
    empty["target_observed"].zero_()
    nothing = network.loss(empty)
    assert nothing.total.item() == 0 and float(nothing.weight) == 0
    if head == "direct":
        hidden["target"][batch["target_observed"] == 0] = 1e30
    losses = [network.loss(b) for b in (batch, hidden)]
    gradients = [torch.autograd.grad(loss.total, list(network.parameters())) for loss in losses]
    assert torch.equal(losses[0].total, losses[1].total)
    for one, other in zip(*gradients, strict=True):
        assert torch.isfinite(one).all() and torch.equal(one, other)


@BOTH
@ALL
def test_a_forecast_does_not_depend_on_the_windows_beside_it(head: str, output: str) -> None:
    data = series(output)
    network = forecaster(data, head, output).eval()
    source = Windows(data, network.layout)
    _, together = network.predict(*source.at(*ORIGINS))
    for i in range(3):
        _, alone = network.predict(*source.at(ORIGINS[0][i : i + 1], ORIGINS[1][i : i + 1]))
        torch.testing.assert_close(together[i], alone[0], rtol=1e-4, atol=1e-3)


@BOTH
@pytest.mark.parametrize("factor", [1e-3, 1e9])
def test_a_series_in_another_unit_has_the_same_forecast_in_that_unit(head: str, factor: float) -> None:
    from dataclasses import replace

    data = series()
    network = forecaster(data, head).eval()
    other = data.with_series([replace(s, target=s.target * factor) for s in data])
    mean, quantiles = network.predict(*windows(network, data))
    network.layout = forecaster(other, head).layout
    other_mean, other_quantiles = network.predict(*windows(network, other))
    torch.testing.assert_close(other_mean, mean * factor, rtol=1e-4, atol=0)
    torch.testing.assert_close(other_quantiles, quantiles * factor, rtol=1e-4, atol=0)


def test_known_covariates_statics_and_series_matter() -> None:
    data = series()
    network = forecaster(data).eval()
    batch, scale = windows(network, data)
    before = network.predict(batch, scale)[1]
    for name in ("covariates", "static", "series"):
        other = {**batch, name: batch[name].clone()}
        if name == "covariates":
            other[name][:, CONTEXT:, -2] += 1
        else:
            other[name][:] = 0 if name == "series" else 1 - other[name].clamp(max=1)
        if name == "static":
            other[name][:, 1] = 0
        assert not torch.equal(network.predict(other, scale)[1], before), name


@pytest.mark.parametrize("output", ["quantile", "gaussian"])
def test_the_loss_of_validation_is_that_of_the_forecast(output: str) -> None:
    """Members that disagree: what is scored is the forecast whose quantiles are the mean of theirs."""
    data = series()
    network = forecaster(data, output=output, members=3, dropout=0.0).eval()
    with torch.no_grad():
        for number, head in enumerate(network.heads):
            head.output_layers[-1].bias.copy_(torch.linspace(-1, 2, network.output.size) * (number + 1))
    batch, scale = windows(network, data)
    scaled = network._quantiles(batch, scale)[0].double()
    measured = batch["target_observed"] > 0
    if output == "quantile":
        error = scale.relative(batch["target"])[..., None] - scale.relative(scaled)
        level = torch.tensor(LEVELS)
        expected = torch.maximum(level * error, (level - 1) * error).mean(-1)
    else:
        # The deviation of a normal distribution from its quantiles at 0.1 and 0.9.
        deviation = (scaled[..., 8] - scaled[..., 0]) / (
            2 * torch.special.ndtri(torch.tensor(0.9, dtype=torch.float64))
        )
        expected = -torch.distributions.Normal(scaled[..., 4], deviation).log_prob(batch["target"])
    found = network.loss(batch)
    torch.testing.assert_close(found.total.double(), expected[measured].sum().double(), rtol=2e-3, atol=0)


def test_the_losses_of_two_processes_add_up_to_that_of_one() -> None:
    data = series()
    network = forecaster(data).eval()
    rows = [(CONTEXT, len(s)) for s in data]
    batches = DrawnWindows(Windows(data, network.layout), rows, 9, 3, 0)
    whole = network.loss(batches.batch(0, 1))
    shares = [network.loss(batches.batch(0, 1, rank, 2)) for rank in range(2)]
    torch.testing.assert_close(sum(s.total for s in shares), whole.total)
    assert sum(float(s.weight) for s in shares) == float(whole.weight)


def test_an_empty_share_has_no_loss() -> None:
    data = series()
    network = forecaster(data)
    batch = {name: value[:0] for name, value in windows(network, data)[0].items()}
    loss = network.loss(batch)
    assert loss.total.item() == 0 and float(loss.weight) == 0
    loss.total.backward()


@pytest.mark.parametrize("output", ["quantile", "gaussian"])
def test_calibration_makes_the_intervals_cover(output: str) -> None:
    """Noise of a known width around a level: an untrained network's intervals are far too wide or narrow."""
    random = np.random.default_rng(0)
    data = hourly((3000,), missing=0)
    data.series[0].target[:] = 100 + 5 * random.normal(size=3000)
    network = forecaster(data, output=output).eval()
    source = Windows(data, network.layout)
    numbers, rows = np.zeros(100, np.int64), np.arange(600, 2600, 20)
    network.calibrate(*source.at(numbers, rows), None, 77)
    later = np.arange(2610, 2970, 24)
    _, quantiles = network.predict(*source.at(numbers[: len(later)], later))
    actual = torch.from_numpy(data.series[0].target[later[:, None] + np.arange(HORIZON)])
    covered = ((actual >= quantiles[..., 0]) & (actual <= quantiles[..., 8])).double().mean()
    assert covered == pytest.approx(0.8, abs=0.06)
    factors = network.widening.clone()
    network.calibrate(*source.at(numbers, rows), None, 0.0)
    assert network.widening == 1, "nothing is learnt from no days"
    network.calibrate(*source.at(numbers, rows), None, 77)
    assert torch.equal(network.widening, factors), "nothing of the last time stays"
    network.calibrate(*source.at(numbers, rows), None, 77, widen=False)
    assert network.widening == 1 and network.lasting == 0


def test_calibration_leaves_right_intervals_of_counts_that_are_mostly_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five in six are 0, which is median and lower bound: the upper bound must not move towards it."""
    data = series("negative_binomial")
    network = forecaster(data, output="negative_binomial").eval()
    random = np.random.default_rng(0)
    target = torch.from_numpy(np.where(random.random((200, HORIZON)) < 5 / 6, 0.0, random.poisson(8, (200, HORIZON))))
    batch = {"target": target.float(), "target_observed": torch.ones(200, HORIZON)}
    right = torch.tensor([0.0] * 8 + [8.0]).expand(200, HORIZON, 9) + 1e-7
    monkeypatch.setattr(network, "_quantiles", lambda batch, scale: (right, right, None))
    network.calibrate(batch, windows(network, data)[1], None, 100)
    assert network.widening == 1
    right = torch.tensor([0.0] * 8 + [0.5]).expand(200, HORIZON, 9)
    batch["target"] += 1
    network.calibrate(batch, windows(network, data)[1], None, 100)
    assert network.widening > 1.9, "nor do wrong ones stay"


@BOTH
def test_no_forecast_is_below_0_where_no_value_can_be(head: str) -> None:
    data = series()
    network = forecaster(data, head, logarithm=False).eval()
    batch, scale = windows(network, data)
    network.widening.fill_(50.0)
    _, wide = network.predict(batch, scale)
    network.layout = replace(network.layout, nonnegative=True)
    mean, quantiles = network.predict(batch, scale)
    assert wide.min() < 0 and torch.equal(quantiles, wide.clamp(min=0))
    assert mean.min() >= 0


@BOTH
def test_a_recent_bias_moves_all_quantiles_by_a_part_of_the_half_width(head: str) -> None:
    data = series()
    network = forecaster(data, head, logarithm=False).eval()
    batch, scale = windows(network, data)
    _, plain = network.predict(batch, scale)
    bias = torch.tensor([0.5, -1.0, 0.0])
    assert torch.equal(network.predict(batch, scale, bias)[1], plain), "nothing lasts before it was calibrated"
    network.lasting.fill_(0.4)
    mean, moved = network.predict(batch, scale, bias)
    expected = plain + (0.4 * bias[:, None] * (plain[..., 8] - plain[..., 0]) / 2)[..., None]
    torch.testing.assert_close(moved, expected, rtol=1e-5, atol=1e-5)
    assert (mean - moved.mean(-1)).abs().max() < 0.1 * (plain[..., 8] - plain[..., 0]).max(), "and the mean with them"


def test_calibration_learns_how_much_of_a_bias_lasts() -> None:
    """Each forecast lies off by four tenths of what those before it lay off."""
    data = series()
    network = forecaster(data).eval()
    source = Windows(data, network.layout)
    numbers, rows = np.zeros(60, np.int64), np.arange(60, 180, 2)
    batch, scale = source.at(numbers, rows)
    quantiles = network._quantiles(batch, scale)[0]
    bias = torch.linspace(-1, 1, 60)
    half = (quantiles[..., 8] - quantiles[..., 0]) / 2
    batch |= {"target": quantiles.mean(-1) + 0.4 * bias[:, None] * half, "target_observed": torch.ones(60, HORIZON)}
    network.calibrate(batch, scale, bias, 1e6)
    assert network.lasting == pytest.approx(0.4, abs=0.01)
    assert network.widening < 0.7, "of what is then left to miss the intervals are made"
    network.calibrate(batch, scale, None, 1e6)
    assert network.lasting == 0


def test_calibration_learns_little_where_little_was_measured() -> None:
    """One forecast of sixty has a single value to compare with: it must not speak for all of their rows."""
    data = series()
    network = forecaster(data).eval()
    batch, scale = Windows(data, network.layout).at(np.zeros(60, np.int64), np.arange(60, 180, 2))
    network.calibrate(batch | {"target_observed": torch.zeros(60, HORIZON)}, scale, torch.ones(60), 10)
    usual = float(network.lasting)
    quantiles = network._quantiles(batch, scale)[0]
    batch |= {"target": quantiles.mean(-1) - 50, "target_observed": torch.zeros(60, HORIZON)}
    batch["target_observed"][7, 3] = 1
    network.calibrate(batch, scale, torch.ones(60), 10)
    assert network.lasting == pytest.approx(usual, abs=0.02)
    assert network.widening == pytest.approx(1, abs=0.05)


class Leaky(Cell):
    """A cell of the user's own, with one state."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.states = {"level": hidden_size}
        self.input = torch.nn.Linear(input_size, hidden_size)

    def forward(self, x: torch.Tensor, level: torch.Tensor) -> tuple[torch.Tensor]:
        return (0.9 * level + 0.1 * torch.tanh(self.input(x)),)


@BOTH
def test_widened_counts_stay_counts(head: str) -> None:
    data = series("negative_binomial")
    network = forecaster(data, head, "negative_binomial").eval()
    mean, _ = network.predict(*windows(network, data))
    network.widening.fill_(3.0)
    same, quantiles = network.predict(*windows(network, data))
    assert (quantiles >= 0).all()
    assert torch.equal(quantiles, quantiles.round())
    assert torch.equal(mean, same), "how wide the intervals are is no part of the mean"


@BOTH
def test_the_mean_of_rare_counts_is_no_count(head: str) -> None:
    """One in forty rows has a count: no quantile at 0.1 to 0.9 knows of it."""
    data = series("negative_binomial")
    rare = [replace(s, target=(np.arange(len(s)) % 40 == 5).astype(float)) for s in data]
    network = forecaster(data.with_series(rare), head, "negative_binomial", members=4).eval()
    mean, quantiles = network.predict(*windows(network, data.with_series(rare)))
    assert (quantiles == 0).all()
    assert 0.25 < float(mean.mean()) * 40 < 4


@BOTH
def test_any_cell(head: str) -> None:
    data = series()
    layout = forecaster(data).layout
    network = Forecaster(RecurrentShape(f"{__name__}:Leaky", 5), layout, head=head)
    batch, scale = windows(network, data)
    network.loss(batch).total.backward()
    assert torch.isfinite(network.eval().predict(batch, scale)[1]).all()


@BOTH
def test_it_learns_a_season(head: str) -> None:
    data = hourly((600,), missing=0.05)
    network = forecaster(data, head, members=1, dropout=0.0)
    rows = [(CONTEXT, 500)]
    batches = DrawnWindows(Windows(data, network.layout), rows, 32, 60, 0)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for index in range(len(batches)):
        loss = network.loss(batches.batch(0, index))
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        optimizer.step()
    _, quantiles = network.eval().predict(*Windows(data, network.layout).at(np.array([0]), np.array([560])))
    error = np.nanmean(np.abs(quantiles[0, :, 4].numpy() - data.series[0].target[560 : 560 + HORIZON]))
    assert error < 25  # the season's mean absolute deviation is 64


def test_an_encoder_of_both_directions_ends_where_each_direction_ends() -> None:
    data = series()
    network = forecaster(data, bidirectional=True, members=1, dropout=0.0).eval()
    batch, scale = windows(network, data)
    head = network.heads[0]
    seen: list[torch.Tensor] = []
    head.drop.register_forward_hook(lambda module, given, found: seen.append(found))
    y: list[torch.Tensor] = []
    head.encoder.register_forward_hook(lambda module, given, found: y.append(found[0]))
    assert torch.isfinite(network.predict(batch, scale)[1]).all()
    torch.testing.assert_close(seen[0], torch.cat((y[0][:, -1, :6], y[0][:, 0, 6:]), -1))
    later = windows(
        network, changed(changed(data, 0, 200, 1e4, ("target", "past")), 1, 350, np.nan, ("target", "past"))
    )
    assert torch.equal(network.predict(*later)[1][0], network.predict(batch, scale)[1][0])


@BOTH
@pytest.mark.parametrize(
    "options",
    [
        {"num_layers": 2, "residual": True},
        {"zoneout": 0.2},
        {"variational": True, "dropout": 0.3},
        {"recurrent_dropout": 0.3, "dropout": 0.0},
    ],
)
def test_how_the_layers_are_put_together_reaches_them(head: str, options: dict[str, object]) -> None:
    data = series()
    plain = {name: value for name, value in options.items() if name in ("num_layers", "dropout")}
    losses = []
    for given in (plain, options):
        network = forecaster(data, head, members=1, **given)
        torch.manual_seed(1)
        losses.append(float(network.loss(windows(network, data)[0]).total.detach()))
        assert torch.isfinite(network.eval().predict(*windows(network, data))[1]).all()
    assert losses[0] != losses[1]


def test_options_that_do_not_fit() -> None:
    data = series()
    with pytest.raises(OptionError, match=r"^head: .*direct"):
        forecaster(data, head="direkt")
    layout = forecaster(data).layout
    assert layout.logarithm
    with pytest.raises(OptionError, match="logarithm"):
        Forecaster(RecurrentShape(f"{__name__}:Leaky", 5), layout, output="negative_binomial")
