"""How wide the forecasts before an origin say that the intervals have to be."""

import numpy as np
import pytest
import torch

from steploom.data.series.series import Series, SeriesSet
from steploom.data.series.window_layout import Layout
from steploom.data.series.windows import Windows
from steploom.models.forecaster import HEADS, Forecaster
from steploom.models.recurrent_shape import RecurrentShape
from steploom.tasks.forecast import recent
from steploom.tasks.forecast.past import Past
from steploom.tasks.forecast.recent import bias_and_width_before, bias_before
from tests.data.series.forecast_series import changed, hourly

CONTEXT, HORIZON = 30, 12
ALL = np.zeros(2, np.int64)


def forecaster(head: str = "direct", horizon: int = HORIZON, lasting: float = 0.4, counts: bool = False) -> Forecaster:
    """A network without a logarithm, so that lengths in the data's unit are as long as in the scale."""
    data = hourly(counts=counts)
    layout = Layout.learn(data, [(CONTEXT, len(s)) for s in data], CONTEXT, horizon, logarithm=False)
    torch.manual_seed(0)
    output = "negative_binomial" if counts else "quantile"
    network = Forecaster(RecurrentShape("gru", 5), layout, head=head, output=output).eval()
    network.lasting.fill_(lasting)
    network.widening.fill_(1.3)
    return network


def one_by_one(network: Forecaster, data: SeriesSet, number: int, row: int, unseen: int) -> float:
    """The width at an origin from `predict` at each row before it."""
    windows, horizon, found = Windows(data, network.layout), network.layout.horizon, []
    count = max(14, int(np.ceil(100 / horizon)))
    for before in range(row - horizon, row - horizon * count - 1, -horizon):
        if before < max(CONTEXT, unseen):
            break
        place = np.array([number]), np.array([before])
        bias = bias_before(network, windows, *place) if network.lasting else None
        low, median, high = network.predict(*windows.at(*place), bias)[1][0][:, [0, 4, 8]].numpy().T
        error = data.series[number].target[before : before + horizon] - median
        found.append(np.maximum(error / (high - median), -error / (median - low)))
    values = np.concatenate([*found, [np.nan]])
    values = values[np.isfinite(values)]
    if not len(values):
        return 1.0
    return float(np.clip(np.quantile(values, 0.8), 0.5, 3) ** (len(values) / (len(values) + max(3 * horizon, 20))))


@pytest.mark.parametrize(
    ("head", "horizon", "lasting"),
    [*((head, HORIZON, 0.4) for head in HEADS), *(("direct", *rest) for rest in ((HORIZON, 0.0), (1, 0.3), (26, 0.5)))],
)
def test_it_is_that_of_forecasts_made_one_by_one(
    head: str, horizon: int, lasting: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Origins that share forecasts and origins that do not, near the start of their series and far behind it."""
    monkeypatch.setattr(recent, "_VALUES_AT_ONCE", 240)
    network, data = forecaster(head, horizon, lasting), hourly()
    data.series[1].target[250:290] = np.nan
    series, rows = np.array([1, 0, 1, 1, 1, 0]), np.array([400, 150, 400 - horizon, 60, 291, 12])
    unseen = np.array([0, 270])
    bias, width = bias_and_width_before(network, Windows(data, network.layout), series, rows, unseen)
    assert width is not None
    expected = [one_by_one(network, data, *at, unseen[at[0]]) for at in zip(series, rows, strict=True)]
    np.testing.assert_allclose(width, expected, rtol=2e-4)
    assert width[3] == width[5] == 1 and len(set(width.tolist())) > 3 - (horizon == 26)
    alone = bias_before(network, Windows(data, network.layout), series, rows)
    assert bias is None if not lasting else torch.allclose(bias, alone, atol=1e-5)


def width_at(network: Forecaster, data: SeriesSet, row: int, unseen: int = 0) -> float:
    windows = Windows(data, network.layout)
    _, width = bias_and_width_before(network, windows, np.array([1]), np.array([row]), np.array([0, unseen]))
    assert width is not None
    return float(width)


def test_nothing_from_the_origin_on_is_looked_at() -> None:
    network, data, row = forecaster(), hourly(missing=0), 300
    plain = width_at(network, data, row)
    assert width_at(network, changed(data, 1, row, 7.0), row) == plain
    assert width_at(network, changed(data, 1, row - 1, np.nan), row) != plain
    other = changed(changed(data, 1, row, 7.0, ("past",)), 0, 0, 7.0)
    assert width_at(network, other, row) == plain


def test_forecasts_of_rows_that_training_saw_do_not_count() -> None:
    network, data, row = forecaster(), hourly(missing=0), 300
    assert width_at(network, data, row, row) == width_at(network, data, row, row - HORIZON + 1) == 1
    last = width_at(network, data, row, row - HORIZON)
    assert last != 1 and width_at(network, data, row, row - 2 * HORIZON + 1) == last
    assert width_at(network, data, row, row - 2 * HORIZON) != last
    everything = width_at(network, data, row, row - 14 * HORIZON)
    assert width_at(network, data, row, row - 13 * HORIZON) != everything == width_at(network, data, row)
    assert width_at(network, data, row, row + 1000) == 1


def test_without_an_origin_or_a_width() -> None:
    network, data = forecaster(), hourly()
    windows, nothing = Windows(data, network.layout), np.zeros(0, np.int64)
    assert [len(v) for v in bias_and_width_before(network, windows, nothing, nothing, ALL) if v is not None] == [0, 0]
    place = np.array([1]), np.array([300])
    bias, width = bias_and_width_before(network, windows, *place, None)
    assert width is None and bias is not None and torch.equal(bias, bias_before(network, windows, *place))
    network.lasting.fill_(0.0)
    assert bias_and_width_before(network, windows, *place, None) == (None, None)


def test_counts_have_a_width_and_no_bias() -> None:
    network, data = forecaster(lasting=0.0, counts=True), hourly(counts=True)
    windows = Windows(data, network.layout)
    bias, width = bias_and_width_before(network, windows, np.array([0, 1]), np.array([200, 300]), ALL)
    assert bias is None and width is not None and width.isfinite().all() and (width != 1).all()


def series(name: str, start: str, rows: int) -> Series:
    nothing = np.zeros((rows, 0))
    return Series(name, np.datetime64(start, "ns"), np.zeros(rows), nothing, nothing)


def past(frequency: str, *kept: Series) -> Past:
    return Past(None, list(kept), {}, SeriesSet([], frequency))  # type: ignore[arg-type]


def test_the_first_row_that_training_did_not_see() -> None:
    """In a file from before the rows that are kept, in one that begins within or behind them, and of a new series."""
    kept = past("h", series("a", "2020-01-02", 48), series("b", "2020-03-01", 24))
    later = [("a", "2020-01-01"), ("a", "2020-01-03 20:00"), ("a", "2020-01-04"), ("a", "2020-01-04 01:00")]
    later += [("a", "2020-05-01"), ("new", "2020-01-01"), ("b", "2020-03-01"), ("a", "2020-01-03 22:30")]
    found = kept.unseen(SeriesSet([series(name, start, 100) for name, start in later], "h"))
    assert found.tolist() == [72, 4, 0, 0, 0, 0, 24, 1]
    assert kept.unseen(SeriesSet([series("new", "2020-01-01", 5)], "h")).tolist() == [0]


def test_the_first_row_that_training_did_not_see_in_the_calendar() -> None:
    kept = past("MS", series("a", "2020-01-01", 12), series("b", "2021-03-15", 2))
    later = [series(name, start, 9) for name, start in (("b", "2020-01-15"), ("a", "2019-11-01"), ("a", "2022-01-01"))]
    assert kept.unseen(SeriesSet(later, "MS")).tolist() == [16, 14, 0]
