"""The task around its network: rolling origins, predictions, files and the picture."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steploom.errors import DataError, OptionError
from steploom.tasks.forecast import network as forecast_network
from steploom.tasks.forecast.task import EvaluateOptions, Forecast, ForecastOptions, PredictOptions
from steploom.tasks.task import Files
from tests.tasks.forecast.stub_network import SPREAD, forecast_with

QUANTILES = [f"q{i / 10}" for i in range(1, 10)]


@pytest.fixture(autouse=True)
def _stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_network, "forecast_with", forecast_with)


def trained(files: list[Path], **options: object) -> Forecast:
    """A task as it comes back from its model directory."""
    checked = ForecastOptions.checked({"horizon": 24, "context": 48, **options})
    task = Forecast.prepare(checked, files).task
    return Forecast(checked, json.loads(json.dumps(task.artefacts, allow_nan=False)))


def table(count: int = 500, start: str = "2020-01-01", **columns: object) -> pd.DataFrame:
    times = pd.date_range(start, periods=count, freq="h")
    hour = np.arange(count)
    return pd.DataFrame({"ds": times, "y": 50 + 20 * np.sin(2 * np.pi * hour / 24) + hour % 5, **columns})


def csv(folder: Path, frame: pd.DataFrame, name: str) -> Path:
    frame.to_csv(folder / name, index=False)
    return folder / name


def test_evaluate_has_the_protocols_origins(tmp_path: Path) -> None:
    whole = table(500)
    train, test = csv(tmp_path, whole[:400], "train.csv"), csv(tmp_path, whole[400:], "test.csv")
    task = trained([train])
    alone = task.evaluate(None, Files([test]), EvaluateOptions(origin_every=24))
    with_history = task.evaluate(None, Files([test]), EvaluateOptions(origin_every=24, history=train))
    assert alone.metrics == with_history.metrics
    assert set(alone.metrics) == {"mae", "rmse", "mase", "wql", "coverage_80"}
    assert set(alone.baselines) == {"seasonal_naive_24", "seasonal_naive_168"}
    assert alone.metrics["mae"] == pytest.approx(alone.baselines["seasonal_naive_24"]["mae"])
    assert alone.metrics["mase"] == pytest.approx(alone.metrics["mae"] / whole["y"][:400].diff(24).abs().mean())
    assert alone.write is not None and with_history.write is not None
    for evaluation, name in ((alone, "a.csv"), (with_history, "b.csv")):
        evaluation.write(tmp_path / name)
    written = pd.read_csv(tmp_path / "a.csv", parse_dates=["origin", "ds"])
    assert list(written.columns) == ["unique_id", "origin", "ds", "actual", "mean", *QUANTILES]
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    origins = [whole["ds"][400 + 24 * i] for i in range(4)]
    assert written["origin"].drop_duplicates().tolist() == origins
    assert len(written) == 4 * 24 and (written.groupby("origin")["ds"].min() == origins).all()
    np.testing.assert_allclose(written["actual"], whole["y"][400:496], rtol=1e-8)
    expected = whole["y"][400 - 24 : 400].to_numpy()
    np.testing.assert_allclose(written["mean"][:24], expected, rtol=1e-8)
    np.testing.assert_allclose(written["q0.1"][:24], expected - SPREAD, rtol=1e-8)


def test_evaluate_a_file_alone_starts_once_a_context_is_full(tmp_path: Path) -> None:
    task = trained([csv(tmp_path, table(500), "train.csv")])
    evaluation = task.evaluate(
        None, Files([csv(tmp_path, table(130, "2021-01-01"), "far.csv")]), EvaluateOptions(origin_every=5)
    )
    assert evaluation.write is not None
    evaluation.write(tmp_path / "out.csv")
    origins = pd.read_csv(tmp_path / "out.csv", parse_dates=["origin"])["origin"].drop_duplicates()
    hours = (origins - pd.Timestamp("2021-01-01")) / pd.Timedelta(hours=1)
    # Counted from the first row of the file: a context is full at hour 48, and the next origin is 50.
    assert hours.tolist() == list(range(50, 130 - 24 + 1, 5))
    with pytest.raises(
        DataError, match="there is no origin to forecast from: a forecast needs 48 rows before it and 24 rows"
    ):
        task.evaluate(None, Files([csv(tmp_path, table(60, "2021-01-01"), "short.csv")]), EvaluateOptions())
    # Where the training data are the context, a history would not help.
    with pytest.raises(DataError, match=r"the longest series has 10 rows after those before it\. Give a longer file$"):
        task.evaluate(None, Files([csv(tmp_path, table(10, "2020-01-21 20:00"), "next.csv")]), EvaluateOptions())


def test_a_start_behind_the_last_possible_origin_names_that(tmp_path: Path) -> None:
    file = csv(tmp_path, table(500), "whole.csv")
    task = trained([file])
    with pytest.raises(OptionError, match=r"--start 2099-01-01 lies behind the last possible origin, 2020-01-20 20:00"):
        task.evaluate(None, Files([file]), EvaluateOptions(start="2099-01-01"))
    last = task.evaluate(None, Files([file]), EvaluateOptions(start="2020-01-20 20:00"))
    assert last.write is not None
    last.write(tmp_path / "out.csv")
    assert pd.read_csv(tmp_path / "out.csv")["origin"].unique().tolist() == ["2020-01-20 20:00:00"]
    # Where no start would help, it is not named.
    short = csv(tmp_path, table(20, "2021-01-01"), "short.csv")
    with pytest.raises(DataError, match="the longest series has 0"):
        task.evaluate(None, Files([short]), EvaluateOptions(start="2099-01-01"))


def test_a_start_that_can_be_read_in_two_ways(tmp_path: Path) -> None:
    whole = csv(tmp_path, table(200), "whole.csv")
    with pytest.raises(OptionError, match="--start: day and month cannot be told apart in '01/02/2020'"):
        trained([whole]).evaluate(None, Files([whole]), EvaluateOptions(start="01/02/2020"))


def test_only_measured_values_are_scored(tmp_path: Path) -> None:
    whole = table(500)
    task = trained([csv(tmp_path, whole[:400], "train.csv")])
    holes = whole[400:].copy()
    holes.loc[holes.index[30:40], "y"] = np.nan
    one = task.evaluate(None, Files([csv(tmp_path, holes, "holes.csv")]), EvaluateOptions())
    assert one.write is not None
    one.write(tmp_path / "out.csv")
    np.testing.assert_array_equal(np.flatnonzero(pd.read_csv(tmp_path / "out.csv")["actual"].isna()), range(30, 40))
    spoilt = holes.copy()
    spoilt.loc[holes.index[30:40], "y"] = 1e6
    other = task.evaluate(None, Files([csv(tmp_path, spoilt, "spoilt.csv")]), EvaluateOptions())
    assert one.metrics["mae"] < 10 and other.metrics["mae"] > 1e4


def days(count: int, start: str = "2020-01-01") -> pd.DataFrame:
    return pd.DataFrame({"ds": pd.date_range(start, periods=count), "y": 50 + np.arange(count) % 11.0})


def test_a_seasonal_naive_forecast_without_any_value_a_season_ago_is_left_out(tmp_path: Path) -> None:
    """The last value would stand in for it, under its name."""
    train, test = csv(tmp_path, days(420)[:300], "train.csv"), csv(tmp_path, days(420)[300:], "test.csv")
    task = trained([train], horizon=20, context=30)
    short = task.evaluate(None, Files([train]), EvaluateOptions(start="2020-09-01"))
    assert set(short.baselines) == {"seasonal_naive_7"}
    # The last of these origins have the first rows a year before them.
    longer = task.evaluate(None, Files([test]), EvaluateOptions(history=train))
    assert set(longer.baselines) == {"seasonal_naive_7", "seasonal_naive_365"}


def test_the_last_value_is_the_baseline_where_no_season_is_left(tmp_path: Path) -> None:
    months = pd.DataFrame({"ds": pd.date_range("2020-01-01", periods=11, freq="MS"), "y": np.arange(11.0)})
    file = csv(tmp_path, months, "months.csv")
    task = trained([file], horizon=2, context=4, valid_share=0)
    evaluation = task.evaluate(None, Files([file]), EvaluateOptions(start="2020-09-01"))
    assert {name: scores["mae"] for name, scores in evaluation.baselines.items()} == {"last_value": 1.5}


def test_evaluate_keeps_the_users_names_and_many_series(tmp_path: Path) -> None:
    frame = pd.concat([table(300).assign(shop=name, y=lambda t, k=k: t["y"] * k) for k, name in ((1, "x"), (3, "007"))])
    frame = frame.rename(columns={"ds": "when", "y": "sales"})
    path = csv(tmp_path, frame, "shops.csv")
    task = trained([path], series="shop", target="sales", time="when")
    evaluation = task.evaluate(None, Files([path]), EvaluateOptions(start="2020-01-10"))
    assert evaluation.write is not None
    evaluation.write(tmp_path / "out.PARQUET")
    written = pd.read_parquet(tmp_path / "out.PARQUET")
    assert (
        list(written.columns)[:3] == ["shop", "origin", "when"]
        and written.columns[3] == "actual"
        and written["shop"].unique().tolist() == ["x", "007"]
    )
    assert written["origin"].min() == pd.Timestamp("2020-01-10")


@pytest.mark.parametrize(
    ("series", "time", "predicted", "scored"),
    [
        ("origin", "ds", ["origin", "ds"], ["unique_id", "origin", "ds"]),
        ("mean", "origin", ["unique_id", "origin"], ["unique_id", "origin", "time"]),
        ("time", "q0.1", ["time", "ds"], ["time", "origin", "ds"]),
        (None, "unique_id", ["unique_id", "time"], ["unique_id", "origin", "time"]),
    ],
)
def test_no_column_is_lost_to_one_of_the_same_name(
    tmp_path: Path, series: str | None, time: str, predicted: list[str], scored: list[str]
) -> None:
    """Flights have an origin: the series must not be overwritten by the origins of the forecasts."""
    both = table(100) if series is None else pd.concat([table(100, s="LHR"), table(100, s="JFK")])
    whole = csv(tmp_path, both.rename(columns={"s": series, "ds": time}), "whole.csv")
    columns = {"time": time, "target": "y", **({"series": series} if series else {})}
    task = trained([whole], horizon=2, context=10, **columns)
    names = ["LHR", "JFK"] if series else ["y"]
    found = task.predict(None, None, PredictOptions()).value
    assert list(found.columns) == [*predicted, "mean", *QUANTILES]
    assert list(found[predicted[0]].unique()) == names
    assert str(found[predicted[1]][0]) == "2020-01-05 04:00:00"
    evaluation = task.evaluate(None, Files([whole]), EvaluateOptions())
    assert evaluation.write is not None
    evaluation.write(tmp_path / "scored.csv")
    written = pd.read_csv(tmp_path / "scored.csv")
    assert list(written.columns) == [*scored, "actual", "mean", *QUANTILES]
    assert list(written[scored[0]].unique()) == names
    assert written["origin"][1] != written[scored[2]][1]


def test_predict_after_the_training_data_and_after_a_file(tmp_path: Path) -> None:
    whole = table(500)
    train = csv(tmp_path, whole[:400], "train.csv")
    task = trained([train])
    without = task.predict(None, None, PredictOptions())
    with_train = task.predict(None, train, PredictOptions())
    assert without.text == with_train.text
    lines = without.text.splitlines()
    assert lines[0] == "unique_id,ds,mean,q0.1,q0.2,q0.3,q0.4,q0.5,q0.6,q0.7,q0.8,q0.9" and len(lines) == 25
    assert lines[1].startswith("y,2020-01-17 16:00:00,")
    without.write(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == without.text
    # Ten new rows need the training data before them.
    later = task.predict(None, csv(tmp_path, whole[400:410], "later.csv"), PredictOptions())
    assert later.value["ds"].iloc[0] == whole["ds"][410]
    np.testing.assert_allclose(later.value["mean"], whole["y"][386:410])


def test_dates_are_written_without_hours_where_there_are_none(tmp_path: Path) -> None:
    days = pd.DataFrame({"ds": pd.date_range("2020-01-01", periods=100), "y": np.arange(100.0)})
    task = trained([csv(tmp_path, days, "days.csv")], horizon=3, context=14)
    assert task.predict(None, None, PredictOptions()).text.splitlines()[1].startswith("y,2020-04-10,")


def test_times_with_a_zone_are_forecast_with_one(tmp_path: Path) -> None:
    frame = table(400)
    frame["ds"] = frame["ds"].dt.tz_localize("Europe/Berlin", ambiguous=True, nonexistent="shift_forward").astype(str)
    path = csv(tmp_path, frame, "zoned.csv")
    task = trained([path])
    predicted = task.predict(None, None, None)
    first = pd.Timestamp(frame["ds"].iloc[-1]) + pd.Timedelta(hours=1)
    assert predicted.value["ds"].iloc[0] == first
    assert predicted.text.splitlines()[1].split(",")[1] == str(first.tz_convert("UTC"))
    predicted.write(tmp_path / "next.csv")
    # What was forecast can stand behind what was measured.
    both = pd.concat([frame, pd.read_csv(tmp_path / "next.csv").rename(columns={"mean": "y"})[["ds", "y"]]])
    trained([csv(tmp_path, both, "both.csv")])


def test_quarters_of_two_phases_go_on_in_their_own_months(tmp_path: Path) -> None:
    starts = {"a": "2010-01-01", "b": "2010-02-01"}
    frames = [pd.DataFrame({"ds": pd.date_range(t, periods=40, freq="3MS"), "unique_id": s}) for s, t in starts.items()]
    train = csv(tmp_path, pd.concat(frames).assign(y=1.0), "train.csv")
    for options in ({}, {"frequency": "Q"}):
        task = trained([train], target="y", horizon=2, context=8, **options)
        found = task.predict(None, None, PredictOptions()).value
        months = found["ds"].dt.strftime("%Y-%m-%d")
        assert months.tolist() == ["2020-01-01", "2020-04-01", "2020-02-01", "2020-05-01"]
        assert task.facts()["frequency"] == "QS"


def test_wide_tables_are_read_as_in_training(tmp_path: Path) -> None:
    wide = table(300).rename(columns={"y": "a"}).assign(b=lambda t: t["a"] + 1)
    task = trained([csv(tmp_path, wide, "wide.csv")])
    frame = task.predict(
        None, csv(tmp_path, table(300).rename(columns={"y": "a"}).assign(b=1.0), "w2.csv"), PredictOptions()
    ).value
    assert frame["unique_id"].unique().tolist() == ["a", "b"]
    with pytest.raises(DataError, match=r"there is no column 'b'"):
        task.predict(None, csv(tmp_path, table(300).rename(columns={"y": "a"}), "w3.csv"), PredictOptions())


def test_known_covariates_must_be_known_over_the_horizon(tmp_path: Path) -> None:
    train = csv(tmp_path, table(400, holiday=0.0), "train.csv")
    task = trained([train], target="y", known_covariates="holiday")
    assert not task.predicts_alone, "the training file says nothing of what comes after it"
    future = table(424, holiday=0.0)
    future.loc[400:, "y"] = np.nan
    frame = task.predict(None, csv(tmp_path, future, "future.csv"), PredictOptions()).value
    assert len(frame) == 24 and frame["ds"].iloc[0] == future["ds"][400]
    with pytest.raises(
        DataError, match=r"column 'holiday': series 'y' has no 'holiday' at 2020-01-17 16:00:00; .* all 24 rows"
    ):
        task.predict(None, train, PredictOptions())
    alone = task.predict(None, csv(tmp_path, future[400:], "alone.csv"), PredictOptions()).value
    pd.testing.assert_frame_equal(alone, frame)
    with pytest.raises(DataError, match=r"column 'y': series 'y' has no value in any row, and does not follow"):
        late = future[400:].assign(ds=lambda t: t["ds"] + pd.Timedelta(days=300))
        task.predict(None, csv(tmp_path, late, "late.csv"), PredictOptions())
    future.loc[410, "holiday"] = np.nan
    with pytest.raises(DataError, match=r"has no 'holiday' at 2020-01-18 02:00:00"):
        task.predict(None, csv(tmp_path, future, "future.csv"), PredictOptions())
    with pytest.raises(DataError, match=r"has no 'holiday'"):
        task.predict(None, None, PredictOptions())


def test_ordinary_days_need_no_name(tmp_path: Path) -> None:
    """Calendars name their special days and leave the others empty: training sees such rows, and so does a forecast."""
    future = table(424, event=np.where(np.arange(424) % 50 < 6, "sale, big", ""), wind="N")
    future.loc[3, "wind"] = ""
    train = csv(tmp_path, future[:400], "train.csv")
    task = trained([train], target="y", known_covariates="event,wind")
    future.loc[400:, "y"] = np.nan
    assert (future["event"][400:] == "").any() and (future["event"][400:] != "").any()
    frame = task.predict(None, csv(tmp_path, future, "future.csv"), PredictOptions()).value
    pd.testing.assert_frame_equal(
        task.predict(None, csv(tmp_path, future[400:], "alone.csv"), PredictOptions()).value, frame
    )
    with pytest.raises(DataError, match=r"column 'event': series 'y' has no 'event' at 2020-01-18 15:00:00; .* all 24"):
        task.predict(None, csv(tmp_path, future[:423], "short.csv"), PredictOptions())
    future.loc[410, "wind"] = ""
    with pytest.raises(DataError, match=r"column 'wind': series 'y' has no 'wind' at 2020-01-18 02:00:00"):
        task.predict(None, csv(tmp_path, future, "future.csv"), PredictOptions())


def test_unknown_static_category(tmp_path: Path) -> None:
    frame = table(300).assign(shop="x", kind="big")
    task = trained([csv(tmp_path, frame, "train.csv")], series="shop", target="y", static="kind")
    with pytest.raises(
        DataError, match=r"row 2, column 'kind': the category 'bit' was not in the training data, which had big"
    ):
        task.predict(None, csv(tmp_path, frame.assign(kind="bit"), "new.csv"), PredictOptions())


def test_a_short_series_is_padded_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = trained([csv(tmp_path, table(300), "train.csv")])
    frame = task.predict(None, csv(tmp_path, table(30, "2021-01-01"), "short.csv"), PredictOptions()).value
    assert frame["ds"].iloc[0] == pd.Timestamp("2021-01-02 06:00") and np.isfinite(frame["mean"]).all()
    assert "1 of 1 series have fewer rows than the context of 48, such as 'y'" in caplog.text


def test_new_series_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    both = pd.concat([table(100, s="1"), table(100, s="2")])
    task = trained([csv(tmp_path, both, "a.csv")], horizon=2, context=10, series="s", target="y")
    task.predict(None, tmp_path / "a.csv", PredictOptions())
    assert "new to the model" not in caplog.text
    later = csv(tmp_path, both.assign(s=both["s"].where(both["s"] == "1", "2.0")), "b.csv")
    task.predict(None, later, PredictOptions())
    task.evaluate(None, Files([later]), EvaluateOptions())
    assert caplog.text.count("b.csv: 1 of 2 series are new to the model, such as '2.0'") == 2


def test_words_about_what_was_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="steploom")
    frame = table(300)
    frame.loc[5:8, "y"] = np.nan
    trained([csv(tmp_path, frame, "train.csv")])
    expected = "train.csv: 'y', frequency h, 2020-01-01 to 2020-01-13 11:00, 300 values, 4 of them missing (1.3%)"
    assert expected in caplog.text


def test_covariates_that_never_change_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    late = (np.arange(300) > 280).astype(int)
    frame = table(300, price=3.99, promotion=late, wind=np.arange(300) % 7)
    columns = {"target": "y", "past_covariates": "wind", "known_covariates": "price,promotion"}
    trained([csv(tmp_path, frame, "a.csv")], horizon=24, context=24, **columns)
    assert "in the training rows price, promotion have one value or none" in caplog.text
    caplog.clear()
    frame["price"] += frame["wind"]
    trained([csv(tmp_path, frame, "a.csv")], horizon=2, context=2, **columns, valid_share=0)
    assert "one value" not in caplog.text


@pytest.mark.parametrize("count", [1, 5])
def test_plot(tmp_path: Path, count: int) -> None:
    wide = table(300).drop(columns="y").assign(**{f"node {i}": table(300)["y"] * (i + 1) for i in range(count)})
    task = trained([csv(tmp_path, wide, "wide.csv")])
    task.plot(None, (), tmp_path / "plot.png")
    task.plot(None, [tmp_path / "wide.csv"], tmp_path / "again.png")
    for name in ("plot.png", "again.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG") and (tmp_path / name).stat().st_size > 20_000


def test_facts(tmp_path: Path) -> None:
    facts = trained([csv(tmp_path, table(300, temp=1.0), "t.csv")], target="y", past_covariates="temp").facts()
    assert facts == {"series": 1, "frequency": "h", "columns": "y, temp", "context": 48, "scaled with": "the logarithm"}


@pytest.mark.parametrize("names", [["price $\\bad{ x$"], ["a_$x^$", "\u6e29\u5ea6", "\U0001f600", "tab\tand \\\\"]])
def test_names_in_the_picture_are_no_formulas(tmp_path: Path, names: list[str]) -> None:
    file = csv(tmp_path, table()[["ds"]].assign(**dict.fromkeys(names, 5.0)), "names.csv")
    trained([file]).plot(None, (), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
