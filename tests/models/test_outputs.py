"""Losses and quantiles of the outputs against SciPy and torch.distributions."""

import numpy as np
import pytest
import torch
from scipy import stats

from steploom.errors import OptionError
from steploom.models.outputs import LEVELS, OUTPUTS, QuantileOutput, make_output
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


@pytest.mark.parametrize("unit", [0.5, 20.0, 3000.0])
def test_negative_binomial(unit: float) -> None:
    raw, output, scale = raw_numbers(2), make_output("negative_binomial"), scales(3, unit)
    mean, excess = positive(raw[..., 0]) * unit, positive(raw[..., 1])
    reference = stats.nbinom(1 / excess, 1 / (1 + mean * excess))
    assert reference.mean() == pytest.approx(mean)
    assert reference.var() == pytest.approx(mean + excess * mean**2)
    count = np.round(mean * np.linspace(0.2, 2, mean.size).reshape(mean.shape))
    target = torch.from_numpy((count / unit - 0.8) / 0.5)
    loss = output.loss([raw], target, scale)
    np.testing.assert_allclose(loss.numpy(), -reference.logpmf(count), rtol=1e-8)
    for level in (0.1, 0.5, 0.9):
        found = scale.invert(output.at(raw, torch.tensor([level]), scale))[..., 0].numpy()
        error = np.abs(found - reference.ppf(level))
        assert (error <= np.maximum(1, 0.01 * reference.std()) + 1e-6).all()


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
