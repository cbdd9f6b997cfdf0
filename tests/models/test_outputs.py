"""Losses and quantiles of the outputs against SciPy and torch.distributions."""

import numpy as np
import pytest
import torch
from scipy import stats

from steploom.errors import OptionError
from steploom.models.outputs import LEVELS, OUTPUTS, QuantileOutput, make_output
from steploom.models.quantile_functions import negative_binomial_quantile, student_t_quantile
from steploom.models.scaling import Scale


def scales(batch: int, unit: float = 20.0, logarithm: bool = False) -> Scale:
    one = torch.ones(batch, dtype=torch.float64)
    return Scale(one * unit, one * 0.8, one * 0.5, logarithm)


def raw_numbers(size: int, batch: int = 3, steps: int = 5) -> torch.Tensor:
    return torch.randn(batch, steps, size, generator=torch.Generator().manual_seed(size), dtype=torch.float64)


def positive(raw: torch.Tensor) -> np.ndarray:
    return np.log1p(np.exp(raw.numpy())) + 1e-3


LEVELS_TENSOR = torch.tensor(LEVELS, dtype=torch.float64)


def test_gaussian() -> None:
    raw, output = raw_numbers(2), make_output("gaussian")
    target = raw_numbers(1)[..., 0]
    loss = output.loss([raw], target, scales(3))
    normal = torch.distributions.Normal(raw[..., 0], torch.from_numpy(positive(raw[..., 1])))
    torch.testing.assert_close(loss, -normal.log_prob(target))
    torch.testing.assert_close(
        output.at(raw, LEVELS_TENSOR, scales(3)), normal.icdf(LEVELS_TENSOR[:, None, None]).permute(1, 2, 0)
    )


def test_student_t() -> None:
    raw, output = 3 * raw_numbers(3), make_output("student_t")
    target = raw_numbers(1)[..., 0]
    reference = stats.t(2 + positive(raw[..., 2]), raw[..., 0].numpy(), positive(raw[..., 1]))
    loss = output.loss([raw], target, scales(3))
    np.testing.assert_allclose(loss.numpy(), -reference.logpdf(target.numpy()))
    for level in (0.02, 0.1, 0.3, 0.5, 0.77, 0.9, 0.98):
        found = output.at(raw, torch.tensor([level]), scales(3))[..., 0].numpy()
        spread = positive(raw[..., 1])
        np.testing.assert_allclose((found - reference.ppf(level)) / spread, 0, atol=0.01)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("freedom", [1.5, 2.001, 2.5, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0, 1e4, 1e6])
def test_quantiles_of_student_t(freedom: float, kind: torch.dtype) -> None:
    levels = torch.tensor([0.01, 0.03, *LEVELS, 0.45, 0.499, 0.97, 0.99], dtype=kind).sort().values
    found = student_t_quantile(torch.tensor([freedom], dtype=kind), levels)
    assert found.dtype == kind
    expected = stats.t.ppf(levels.double().numpy(), freedom)
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-4, atol=1e-6)
    tails = torch.tensor([1e-6, 1e-4], dtype=kind)
    found = student_t_quantile(torch.tensor([freedom], dtype=kind), tails).double().numpy()
    np.testing.assert_allclose(found, stats.t.ppf([1e-6, 1e-4], freedom), rtol=0.02)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("freedom", [2.1, 3.0, 30.0, 1e3, 1e4, 1e6, 1e8])
def test_the_loss_of_student_t_for_any_degrees_of_freedom(freedom: float, kind: torch.dtype) -> None:
    numbers = torch.tensor([0.3, inverse_positive(0.7), inverse_positive(freedom - 2)], dtype=kind)
    target = torch.tensor([[-3.0, 0.3, 0.5, 40.0]], dtype=kind)
    raw = numbers.expand(1, 4, 3).clone().requires_grad_()
    output = make_output("student_t")
    loss = output.loss([raw], target, scales(1))
    loss.sum().backward()
    mean, spread, found = output.parameters(raw, scales(1))[0, 0].tolist()
    assert found == pytest.approx(freedom, rel=1e-6) and loss.dtype == kind
    expected = -stats.t.logpdf(target.double().numpy(), found, mean, spread)
    # SciPy's own parts cancel beyond that.
    tolerance = {"rtol": 1e-6, "atol": 1e-6} if freedom <= 1e6 else {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(loss.detach().numpy(), expected, **tolerance)
    assert raw.grad is not None and torch.isfinite(raw.grad).all()


def test_negative_binomial_begins_at_the_mean_of_the_window_with_the_variance_of_the_series() -> None:
    """The network's numbers are near 0 at first: intervals are then of the right order for counts of any size."""
    output = make_output("negative_binomial")
    for mean, deviation in ((0.05, 0.3), (3.0, 2.0), (500.0, 60.0), (1e4, 3000.0), (1e7, 1e5), (1e9, 1e6)):
        parts = (torch.tensor([part], dtype=torch.float64) for part in (mean, 1.0, deviation / mean))
        scale = Scale(*parts, logarithm=False)
        raw = torch.zeros(1, 1, 2)
        assert float(output.mean(raw, scale)) == pytest.approx(mean, rel=1e-6)
        _, excess = output.parameters(raw, scale)[0, 0].tolist()
        found = np.sqrt(mean + excess * mean**2)
        assert 0.5 * deviation < found < 1.5 * max(deviation, np.sqrt(mean))
        if mean > 100:
            low, high = scale.invert(output.at(raw, torch.tensor([0.1, 0.9]), scale))[0, 0].tolist()
            assert 0.6 < (high - low) / (2 * 1.2816 * deviation) < 1.4


def test_negative_binomial_reads_numbers_as_shifts_by_the_spread() -> None:
    output, scale = make_output("negative_binomial"), scales(1, 1e7)
    raw = torch.tensor([[[0.5, 0.0], [-0.5, 0.0]]])
    scale = Scale(scale.unit, scale.location, scale.spread / 50, logarithm=False)
    np.testing.assert_allclose(output.mean(raw, scale)[0], [1e7 * (0.8 + 0.005), 1e7 * (0.8 - 0.005)], rtol=1e-6)
    empty = Scale(scale.unit, 0 * scale.location, scale.spread, logarithm=False)
    assert (output.mean(raw - 100, empty) > 0).all(), "a window of zeros has a mean, however small"
    assert torch.isfinite(output.loss([raw - 100], 0 * raw[..., 0] + 3, empty)).all()


@pytest.mark.parametrize("unit", [0.5, 20.0, 3000.0])
def test_negative_binomial(unit: float) -> None:
    raw, output, scale = raw_numbers(2), make_output("negative_binomial"), scales(3, unit)
    start = np.log(np.expm1(0.8 / 0.5))
    mean, excess = np.log1p(np.exp(raw[..., 0].numpy() + start)) * 0.5 * unit, 0.25 * positive(raw[..., 1])
    reference = stats.nbinom(1 / excess, 1 / (1 + mean * excess))
    assert reference.mean() == pytest.approx(mean)
    assert reference.var() == pytest.approx(mean + excess * mean**2)
    np.testing.assert_allclose(output.mean(raw, scale), mean, rtol=1e-7)
    count = np.round(mean * np.linspace(0.2, 2, mean.size).reshape(mean.shape))
    target = torch.from_numpy((count / unit - 0.8) / 0.5)
    loss = output.loss([raw], target, scale)
    np.testing.assert_allclose(loss.numpy(), -reference.logpmf(count), rtol=1e-7)
    for level in (0.1, 0.5, 0.9):
        found = scale.invert(output.at(raw, torch.tensor([level]), scale))[..., 0].numpy()
        error = np.abs(found - reference.ppf(level))
        assert (error <= np.maximum(1, 0.01 * reference.std()) + 1e-6).all()


def inverse_positive(value: float) -> float:
    wanted = value - 1e-3
    return wanted if wanted > 30 else float(np.log(np.expm1(wanted)))


@pytest.mark.parametrize("mean", [0.01, 3.0, 200.0, 1e4, 1e6, 1e7, 1e8, 1e9])
@pytest.mark.parametrize("excess", [1e-6, 0.002, 0.05, 0.2, 1.0, 10.0])
def test_negative_binomial_of_counts_of_any_size_in_float32(mean: float, excess: float) -> None:
    """Quantiles by the chance that they mean, the loss and its gradient by SciPy."""
    spread = np.sqrt(excess)
    parts = (torch.tensor([part], dtype=torch.float64) for part in (mean, 0.8, spread))
    output, scale = make_output("negative_binomial"), Scale(*parts, logarithm=False)
    numbers = [0.1, inverse_positive(1.0)]
    raw = torch.tensor([[numbers]], dtype=torch.float32)
    center = float(output.mean(raw, scale))
    levels = torch.tensor([0.01, *LEVELS, 0.99])
    reference = stats.nbinom(1 / excess, 1 / (1 + center * excess))
    found = scale.invert(output.at(raw, levels, scale).double())[0, 0].numpy()
    # A float32 has no more than 24 bits, also as a scaled value.
    error = np.maximum(1, 1e-6 * mean)
    level = levels.double().numpy()
    assert (reference.cdf(found + error) >= level - 2e-3).all()
    assert (reference.cdf(found - error - 1) <= level + 2e-3).all()

    def loss(shift: float) -> float:
        e = excess * (np.log1p(np.exp(numbers[1] + shift)) + 1e-3)
        return -float(stats.nbinom(1 / e, 1 / (1 + center * e)).logpmf(count))

    count = round((0.1 * spread + 0.8) * mean)
    target = torch.tensor([[(count / mean - 0.8) / spread]], dtype=torch.float32)
    raw.requires_grad_()
    own = output.loss([raw], target, scale)
    own.sum().backward()
    assert own.dtype == torch.float32 and raw.grad is not None
    # SciPy's own parts cancel where the counts are large and the excess is small.
    assert float(own.detach()) == pytest.approx(loss(0), rel=1e-5, abs=1e-5)
    slope = (loss(1e-3) - loss(-1e-3)) / 2e-3
    assert float(raw.grad[0, 0, 1]) == pytest.approx(slope, rel=3e-3, abs=3e-3)


@pytest.mark.parametrize("mean", [0.01, 40.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("excess", [1e-4, 0.003, 0.5, 2.0, 5.0, 10.0])
def test_quantiles_of_counts(mean: float, excess: float) -> None:
    levels = torch.tensor([1e-3, 0.01, *LEVELS, 0.99], dtype=torch.float64)
    parts = (torch.tensor(value, dtype=torch.float64) for value in (mean, excess))
    found = negative_binomial_quantile(*parts, levels).numpy()
    reference = stats.nbinom(1 / excess, 1 / (1 + mean * excess))
    expected = reference.ppf(levels.numpy())
    near = np.abs(found - expected) <= 1
    assert (near | (np.abs(reference.cdf(found) - levels.numpy()) < 1e-3)).all()
    assert (np.abs(found - expected) <= np.maximum(1, 0.01 * reference.std())).all()


def test_quantile_loss_is_the_pinball_loss_in_units() -> None:
    for logarithm in (False, True):
        output, scale = QuantileOutput(), scales(3, logarithm=logarithm)
        raw, target = raw_numbers(9), raw_numbers(1)[..., 0]
        loss = output.loss([raw], target, scale).numpy()
        quantiles = scale.invert(output.at(raw, LEVELS_TENSOR, scale)).numpy()
        error = scale.invert(target).numpy()[..., None] - quantiles
        expected = np.where(error > 0, np.array(LEVELS) * error, (np.array(LEVELS) - 1) * error).mean(-1) / 20.0
        np.testing.assert_allclose(loss, expected, rtol=1e-9)


@pytest.mark.parametrize("name", OUTPUTS)
def test_quantiles_rise_with_the_level(name: str) -> None:
    output = make_output(name)
    raw = 4 * raw_numbers(output.size)
    levels = torch.cat((LEVELS_TENSOR, torch.tensor([0.01, 0.05, 0.95, 0.99]))).sort().values
    found = output.at(raw, levels, scales(3))
    assert found.shape == (3, 5, len(levels))
    assert (found.diff(dim=-1) >= 0).all()
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", OUTPUTS)
def test_one_level_a_value_is_a_sample(name: str) -> None:
    output = make_output(name)
    raw = raw_numbers(output.size)
    level = torch.rand(3, 5, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = output.at(raw, level, scales(3))
    for i in range(3):
        for j in range(5):
            one = output.at(raw[i : i + 1, j : j + 1], level[i, j], scales(1))
            torch.testing.assert_close(found[i, j], one[0, 0])


@pytest.mark.parametrize("name", OUTPUTS)
def test_gradients(name: str) -> None:
    output, scale = make_output(name), scales(3)
    raw = raw_numbers(output.size).requires_grad_()
    counts = torch.tensor([[3.0, 0, 7, 20, 41]]).double().repeat(3, 1)
    target = (counts / 20 - 0.8) / 0.5
    assert torch.autograd.gradcheck(lambda r: output.loss([r], target, scale), raw)


@pytest.mark.parametrize("name", OUTPUTS)
def test_training_finds_the_distribution(name: str) -> None:
    """The loss is least at the truth: quantiles of samples are recovered from a constant network."""
    output, scale = make_output(name), scales(1)
    random = np.random.default_rng(0)
    counts = random.negative_binomial(4, 4 / (4 + 20.0), 20_000).astype(float)
    target = torch.from_numpy((counts / 20 - 0.8) / 0.5)[None]
    raw = torch.zeros(1, 1, output.size, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([raw], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = output.loss([raw.expand(1, target.shape[1], -1)], target, scale).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        found = scale.invert(output.at(raw, torch.tensor([0.1, 0.5, 0.9]), scale))[0, 0].numpy()
    tolerance = 1.1 if name in ("quantile", "negative_binomial") else 6.0  # counts are not normal
    np.testing.assert_allclose(found, np.quantile(counts, [0.1, 0.5, 0.9]), atol=tolerance)


def test_an_unknown_output() -> None:
    with pytest.raises(OptionError, match="gaussian"):
        make_output("gausian")
