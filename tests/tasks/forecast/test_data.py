"""Options and files -> what is trained, validated and scored; and what is kept of it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steploom.errors import DataError, OptionError, SteploomError
from steploom.tasks.forecast.backtest import not_before
from steploom.tasks.forecast.data import read_source, read_to_predict, read_training_data, rule_of_later_files
from steploom.tasks.forecast.past import Past
from steploom.tasks.forecast.task import EvaluateOptions, Forecast, ForecastOptions, PredictOptions
from steploom.tasks.forecast.yardstick import Yardstick
from steploom.tasks.task import Files

LEVELS = (("a", 10.0), ("b", 20.0), ("new", -1000.0))


def hourly(folder: Path, count: int, start: str = "2020-01-01", name: str = "train.csv", scale: float = 1.0) -> Path:
    times = pd.date_range(start, periods=count, freq="h")
    values = scale * (100 + 10 * np.sin(2 * np.pi * np.arange(count) / 24)) + np.arange(count) % 7
    pd.DataFrame({"ds": times, "y": values.round(3)}).to_csv(folder / name, index=False)
    return folder / name


def options(**values: object) -> ForecastOptions:
    return ForecastOptions.checked({"horizon": 24, **values})


def test_names_separated_by_commas() -> None:
    found = options(past_covariates="TEMP, PRES", target=["y"], static=())
    assert (found.past_covariates, found.target, found.static) == (("TEMP", "PRES"), ("y",), ())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"horizon": 0}, "--horizon: expected a whole number of at least 1, found 0"),
        ({"horizn": 3}, "there is no option --horizn. Did you mean '--horizon'?"),
        ({"output": "gausian"}, "Did you mean 'gaussian'?"),
        ({"context": -1}, "--context"),
    ],
)
def test_wrong_options(values: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        options(**values)
    assert message in str(caught.value)


def test_split_and_context(tmp_path: Path) -> None:
    found = read_training_data(options(), [hourly(tmp_path, 1000)], None, None)
    assert found.context == 72
    assert (found.split.train, found.split.valid) == ([(72, 900)], [(900, 1000)])
    assert found.valid is not None and found.valid.begins == [900] and found.test is None


def test_validation_and_test_files(tmp_path: Path) -> None:
    train = hourly(tmp_path, 480)
    valid = hourly(tmp_path, 96, "2020-01-21", "valid.csv")
    test = hourly(tmp_path, 48, "2020-01-25", "test.csv")
    found = read_training_data(options(), [train], valid, test)
    assert found.split.train == [(72, 480)] and found.split.valid == [(480, 576)]
    assert found.valid is not None and found.valid.begins == [480]
    assert found.test is not None and found.test.begins == [576] and len(found.test.data.series[0]) == 624
    # The training part alone gives the scale of MASE.
    alone = read_training_data(options(), [train], None, None)
    assert found.past.yardsticks["y"].scale == alone.past.yardsticks["y"].scale


def test_the_validation_scores_are_measured_by_the_rows_before_them(tmp_path: Path) -> None:
    frame = pd.read_csv(hourly(tmp_path, 1000))
    frame.loc[900:, "y"] += 500 * np.random.default_rng(0).normal(size=100)
    frame.to_csv(tmp_path / "train.csv", index=False)
    prepared = Forecast.prepare(options(), [tmp_path / "train.csv"])
    source, past = prepared.valid_source, prepared.task.past
    assert source is not None
    for rows, yardstick in ((900, past.yardsticks_of(source)[0]), (1000, past.yardsticks["y"])):
        expected = Yardstick.of(frame["y"].to_numpy()[:rows], (24, 168))
        assert yardstick.scale == expected.scale
        np.testing.assert_array_equal(yardstick.errors, expected.errors)
    # Later files are scored by all that was trained on.
    later = read_source(past, tmp_path / "train.csv", EvaluateOptions(), 72)
    assert past.yardsticks_of(later)[0].scale == past.yardsticks["y"].scale


def test_a_series_of_the_validation_file_alone_is_not_known(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01", periods=300, freq="h")
    frame = pd.concat([pd.DataFrame({"unique_id": n, "ds": times, "y": v + np.sin(times.hour)}) for n, v in LEVELS])
    train, valid = tmp_path / "train.csv", tmp_path / "valid.csv"
    frame[(frame["unique_id"] != "new") & (frame["ds"] < times[200])].to_csv(train, index=False)
    frame[frame["ds"] >= times[200]].to_csv(valid, index=False)
    chosen = options(horizon=6, context=12, batch_size=64)
    prepared = Forecast.prepare(chosen, [train], [valid])
    layout, past = prepared.task.layout, prepared.task.past
    assert layout.series == ("a", "b") and len(layout.moments) == 2 and layout.vectors and layout.logarithm
    assert layout.moments[0][0] == pytest.approx(frame[frame["unique_id"] == "a"]["y"][:200].mean())
    assert prepared.valid is not None and set(prepared.valid.batch(0, 0)["series"].tolist()) == {0, 1, 2}
    assert [s.id for s in past.series] == ["a", "b", "new"] and list(past.yardsticks) == ["a", "b"]
    # Its scale of MASE is that of a new series: from what stands before the part that is scored.
    assert prepared.valid_source is not None
    found = past.yardsticks_of(prepared.valid_source)[2]
    np.testing.assert_equal(found.scale, Yardstick.of(frame["y"].to_numpy()[-100:-88], (24, 168)).scale)


def test_what_is_kept_survives_json(tmp_path: Path) -> None:
    past = read_training_data(options(), [hourly(tmp_path, 1000)], None, None).past
    again = Past.from_json(json.loads(json.dumps(past.to_json(), allow_nan=False)))
    assert again.learnt == past.learnt and again.yardsticks["y"].scale == past.yardsticks["y"].scale
    assert len(again.series[0]) == len(past.series[0]) >= 504
    np.testing.assert_array_equal(again.series[0].target, past.series[0].target)
    np.testing.assert_array_equal(again.yardsticks["y"].errors, past.yardsticks["y"].errors)


def test_a_file_that_follows_the_training_data_has_its_context_there(tmp_path: Path) -> None:
    train = hourly(tmp_path, 1000)
    past = read_training_data(options(), [train], None, None).past
    test = hourly(tmp_path, 50, str(pd.Timestamp("2020-01-01") + pd.Timedelta(hours=1000)), "test.csv")
    kept = read_source(past, test, EvaluateOptions(), 168)
    given = read_source(past, test, EvaluateOptions(history=train), 168)
    assert kept.begins == [len(past.series[0])] and given.begins == [1000]
    np.testing.assert_array_equal(
        kept.data.series[0].target[kept.begins[0] - 168 :], given.data.series[0].target[1000 - 168 :]
    )
    assert past.yardsticks_of(kept) == past.yardsticks_of(given) == list(past.yardsticks.values())


def test_a_file_far_from_the_training_data_stands_alone(tmp_path: Path) -> None:
    past = read_training_data(options(), [hourly(tmp_path, 1000)], None, None).past
    source = read_source(past, hourly(tmp_path, 300, "2021-01-01", "test.csv"), EvaluateOptions(), 168)
    assert source.begins == [0] and len(source.data.series[0]) == 300


def test_covariates_of_first_rows_without_a_target_are_read(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01", periods=400, freq="h")
    frame = pd.DataFrame({"ds": times, "y": 1.0 + np.arange(400) % 5, "holiday": np.arange(400.0), "wind": 1.0})
    frame[:350].to_csv(tmp_path / "train.csv", index=False)
    frame.loc[350:352, "y"] = np.nan
    frame[350:].to_csv(tmp_path / "test.csv", index=False)
    found = options(target="y", known_covariates="holiday", past_covariates="wind")
    past = read_training_data(found, [tmp_path / "train.csv"], None, None).past
    kept = read_source(past, tmp_path / "test.csv", EvaluateOptions(), 48)
    given = read_source(past, tmp_path / "test.csv", EvaluateOptions(history=tmp_path / "train.csv"), 48)
    to_predict = read_to_predict(past, tmp_path / "test.csv", 48)
    rows = [*zip(kept.data, kept.begins, strict=True), *zip(given.data, given.begins, strict=True)]
    for series, begin in [*rows, (to_predict.series[0], kept.begins[0])]:
        np.testing.assert_array_equal(series.target[begin:], frame["y"][350:])
        np.testing.assert_array_equal(series.known[begin - 2 :, 0], frame["holiday"][348:])
        np.testing.assert_array_equal(series.past[begin - 2 :, 0], frame["wind"][348:])
        assert np.isfinite(series.target[begin - 1])


def test_start(tmp_path: Path) -> None:
    path = hourly(tmp_path, 1000)
    past = read_training_data(options(), [path], None, None).past
    whole = hourly(tmp_path, 1000, "2021-01-01", "other.csv")
    assert not_before(read_source(past, whole, EvaluateOptions(), 168), "2021-01-10", 168, 24).begins == [216]
    assert not_before(read_source(past, whole, EvaluateOptions(), 168), "2021-01-10 00:30", 168, 24).begins == [217]
    with pytest.raises(OptionError, match="--start: expected a time such as 2014-01-01"):
        not_before(read_source(past, whole, EvaluateOptions(), 168), "soon", 168, 24)


@pytest.mark.parametrize(
    ("frequency", "start", "first"),
    [("B", "2020-02-08", "2020-02-10"), ("B", "2020-02-10", "2020-02-10"), ("ME", "2023-02-01", "2023-02-28"),
     ("QE", "2030-06-15", "2030-06-30"), ("YE", "2050-12-15", "2050-12-31"), ("MS", "2023-02-02", "2023-03-01")],
)  # fmt: skip
def test_start_off_the_grid_is_the_next_row(tmp_path: Path, frequency: str, start: str, first: str) -> None:
    times = pd.date_range("2020-01-01", periods=120, freq=frequency)
    path = tmp_path / "train.csv"
    pd.DataFrame({"ds": times, "y": 1.0}).to_csv(path, index=False)
    past = read_training_data(options(horizon=2, context=4), [path], None, None).past
    source = not_before(read_source(past, path, EvaluateOptions(), 4), start, 4, 2)
    assert times[source.begins[0]] == pd.Timestamp(first)


@pytest.mark.parametrize(
    ("step", "wrong", "right"),
    [("W-SUN", "W-MON", ("W", "W-SUN")), ("2W-SUN", "2W-TUE", ("2W", "2W-SUN")),
     ("QS-FEB", "QS-JAN", ("QS", "QS-FEB", "QS-MAY", "Q")), ("YE-JUN", "YE-DEC", ("YE", "YE-JUN"))],
)  # fmt: skip
def test_an_anchor_that_is_named_must_be_that_of_the_rows(
    tmp_path: Path, step: str, wrong: str, right: tuple[str, ...]
) -> None:
    times = pd.date_range("2020-01-05", periods=60, freq=step)
    pd.DataFrame({"ds": times, "y": 1.0}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError) as caught:
        read_training_data(options(horizon=2, frequency=wrong), [tmp_path / "a.csv"], None, None)
    assert str(caught.value).endswith(
        f"a.csv, row 2: 60 of 60 rows lie off the grid of {wrong}, this one at {times[0]:%Y-%m-%d}. "
        f"Check --frequency: with {wrong.partition('-')[0]} each series keeps the grid of its own rows"
    )
    for frequency in right:
        found = read_training_data(options(horizon=2, frequency=frequency), [tmp_path / "a.csv"], None, None)
        assert len(found.data.series[0]) == 60 and found.data.series[0].start == times[0]


def test_the_rows_of_series_off_the_named_anchor_are_counted(tmp_path: Path) -> None:
    starts = {"a": "2020-01-06", "b": "2020-01-08"}
    rows = [(name, time) for name in starts for time in pd.date_range(starts[name], periods=40, freq="7D")]
    pd.DataFrame(rows, columns=["unique_id", "ds"]).assign(y=1.5).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match=r"row 42: 40 of 80 rows lie off the grid of W-MON, this one at 2020-01-08\."):
        read_training_data(options(horizon=2, frequency="W-MON"), [tmp_path / "a.csv"], None, None)
    assert len(read_training_data(options(horizon=2, frequency="W"), [tmp_path / "a.csv"], None, None).data) == 2


@pytest.mark.parametrize("zone", ["+01:00", ""])
def test_an_anchor_is_that_of_utc_and_that_is_said(tmp_path: Path, zone: str) -> None:
    mondays = [f"{time:%Y-%m-%d} 00:00{zone}" for time in pd.date_range("2020-01-06", periods=60, freq="7D")]
    pd.DataFrame({"ds": mondays, "y": 1.5}).to_csv(tmp_path / "a.csv", index=False)
    if zone:
        with pytest.raises(DataError, match="this one at 2020-01-05 23:00 in UTC, which times with a zone are turned"):
            read_training_data(options(horizon=2, frequency="W-MON"), [tmp_path / "a.csv"], None, None)
        read_training_data(options(horizon=2, frequency="W-SUN"), [tmp_path / "a.csv"], None, None)
    else:
        read_training_data(options(horizon=2, frequency="W-MON"), [tmp_path / "a.csv"], None, None)


def test_another_frequency_is_refused(tmp_path: Path) -> None:
    past = read_training_data(options(), [hourly(tmp_path, 1000)], None, None).past
    days = pd.DataFrame({"ds": pd.date_range("2021-01-01", periods=30), "y": 1.0})
    days.to_csv(tmp_path / "days.csv", index=False)
    with pytest.raises(DataError, match=r"trained on data with the frequency h; series 'y' steps by 24 of these"):
        read_source(past, tmp_path / "days.csv", EvaluateOptions(), 168)
    with pytest.raises(DataError, match="frequency h"):
        read_to_predict(past, tmp_path / "days.csv", 168)


@pytest.mark.parametrize(("value", "shown"), [(-1.0, "-1"), (0.5, "0.5")])
def test_counts(tmp_path: Path, value: float, shown: str) -> None:
    frame = pd.DataFrame({"ds": pd.date_range("2020-01-01", periods=400, freq="h"), "y": 3.0})
    frame.loc[7, "y"] = value
    frame.to_csv(tmp_path / "n.csv", index=False)
    with pytest.raises(DataError, match=f"n.csv, row 9, column 'y': .*is for counts 0, 1, 2, ...; found {shown}"):
        read_training_data(options(output="negative_binomial"), [tmp_path / "n.csv"], None, None)
    read_training_data(options(output="student_t"), [tmp_path / "n.csv"], None, None)


def test_a_logarithm_is_for_values_from_0_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = hourly(tmp_path, 400)
    frame = pd.read_csv(train)
    frame.loc[[300, 350], "y"] = [-2.5, -1.0]
    low = tmp_path / "low.csv"
    frame.to_csv(low, index=False)
    refused = r"low.csv, row 302, column 'y': --logarithm is for values from 0 on; found -2.5 and 1 more\. Train with"
    logarithm = options(logarithm=True)
    with pytest.raises(DataError, match=refused):
        read_training_data(logarithm, [low], None, None)
    later = frame[300:].assign(ds=pd.date_range("2021-01-01", periods=100, freq="h"))
    later.to_csv(tmp_path / "later.csv", index=False)
    for files in ({"valid": tmp_path / "later.csv", "test": None}, {"valid": None, "test": tmp_path / "later.csv"}):
        with pytest.raises(DataError, match=r"later.csv, row 2, column 'y': --logarithm is for values from 0 on"):
            read_training_data(logarithm, [train], **files)
    for other in (options(), options(logarithm=False)):
        read_training_data(other, [low], None, None)
    # Later files: an error for who asked for the logarithm, a word for who did not.
    past = read_training_data(options(), [train], None, None).past
    rule = rule_of_later_files(logarithm, True)
    with pytest.raises(DataError, match=refused):
        read_source(past, low, EvaluateOptions(), 72, rule)
    after = hourly(tmp_path, 100, "2020-02-01", "after.csv")
    with pytest.raises(DataError, match=refused):
        read_source(past, after, EvaluateOptions(history=low), 72, rule)
    with pytest.raises(DataError, match=refused):
        read_to_predict(past, low, 72, rule)
    assert rule_of_later_files(options(logarithm=False), False) is rule_of_later_files(options(), False) is None
    with caplog.at_level("INFO", logger="steploom"):
        read_to_predict(past, low, 72, rule_of_later_files(options(), True))
    assert caplog.messages[-1] == (
        "low.csv: this model scales with a logarithm and takes values below 0 for 0; 2 in 'y', the first: low.csv, "
        "row 302. Train with --no-logarithm"
    )


def test_a_logarithm_that_the_validation_part_does_not_suit_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = pd.read_csv(hourly(tmp_path, 400))
    frame.loc[390, "y"] = -1.0
    frame.to_csv(tmp_path / "low.csv", index=False)
    said = "the target is below 0 in validation rows alone, and a logarithm takes these values for 0"
    for logarithm, word in ((None, True), (False, False)):
        caplog.clear()
        task = Forecast.prepare(options(logarithm=logarithm), [tmp_path / "low.csv"]).task
        assert task.layout.logarithm is word and (said in caplog.text) is word


def test_values_that_a_found_logarithm_takes_for_0_are_said_of_a_test_file_and_of_a_history(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="steploom")
    train, test = hourly(tmp_path, 400), hourly(tmp_path, 100, "2020-01-17 16:00", "test.csv")
    frame = pd.read_csv(test)
    frame.loc[[50, 60], "y"] = -1.0
    frame.to_csv(test, index=False)
    taken = "this model scales with a logarithm and takes values below 0 for 0; 2 in 'y', the first: test.csv, row 52."
    for logarithm, times in ((None, 1), (False, 0)):
        caplog.clear()
        assert Forecast.prepare(options(logarithm=logarithm), [train], test=[test]).test_source is not None
        assert caplog.text.count(taken) == times and caplog.text.count("test.csv: 'y', ") == 1
    past = read_training_data(options(), [train], None, None).past
    after = hourly(tmp_path, 100, "2020-01-21 20:00", "after.csv")
    caplog.clear()
    read_source(past, after, EvaluateOptions(history=test), 72, rule_of_later_files(options(), True))
    assert [text for text in caplog.messages if "logarithm" in text] == [
        f"test.csv, after.csv: {taken} Train with --no-logarithm"
    ]
    caplog.clear()
    read_source(past, test, EvaluateOptions(history=train), 72, rule_of_later_files(options(), True))
    assert caplog.text.count(taken) == 1


def test_the_rule_holds_for_later_files_of_a_task(tmp_path: Path) -> None:
    train = hourly(tmp_path, 400)
    frame = pd.read_csv(train)
    frame.loc[300, "y"] = -2.5
    frame.to_csv(tmp_path / "low.csv", index=False)
    task = Forecast.prepare(options(logarithm=True), [train]).task
    for use in (
        lambda: task.evaluate(None, Files([tmp_path / "low.csv"]), EvaluateOptions()),
        lambda: task.predict(None, tmp_path / "low.csv", PredictOptions()),
        lambda: task.plot(None, [tmp_path / "low.csv"], tmp_path / "plot.png"),
    ):
        with pytest.raises(DataError, match=r"low.csv, row 302, column 'y': --logarithm is for values from 0 on"):
            use()


def test_short_series_are_left_out_on_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lengths = {"a": 200, "b": 30, "c": 200, "d": 10}
    rows = [(name, time) for name, n in lengths.items() for time in pd.date_range("2020-01-01", periods=n, freq="h")]
    path, valid = tmp_path / "train.csv", tmp_path / "valid.csv"
    pd.DataFrame(rows, columns=["unique_id", "ds"]).assign(y=1.5).to_csv(path, index=False)
    with pytest.raises(DataError, match=r"train.csv: 2 of 4 series are too short: 'b' has 30 rows .*, 'd' 10; .*skip"):
        read_training_data(options(context=48), [path], None, None)
    with caplog.at_level("INFO", logger="steploom"):
        found = read_training_data(options(context=48, skip_short=True), [path], None, None)
    assert caplog.messages[1] == "2 of 4 series have fewer than 72 rows and are left out: 'b', 'd'"
    assert [s.id for s in found.data] == [s.id for s in found.past.series] == list(found.past.yardsticks) == ["a", "c"]
    assert len(found.split.train) == 2
    starts = {"b": "2020-01-02 06:00", "c": "2020-01-09 08:00"}
    later = [(name, time) for name in starts for time in pd.date_range(starts[name], periods=30, freq="h")]
    pd.DataFrame(later, columns=["unique_id", "ds"]).assign(y=1.5).to_csv(valid, index=False)
    found = read_training_data(options(context=48, skip_short=True), [path], valid, None)
    assert [s.id for s in found.data] == ["a", "c"] and found.split.valid == [(200, 200), (200, 230)]
    with pytest.raises(DataError, match="4 of 4 series are too short"):
        read_training_data(options(context=300, skip_short=True), [path], None, None)


def test_too_short(tmp_path: Path) -> None:
    path = hourly(tmp_path, 100)
    with pytest.raises(
        DataError, match=r"train.csv: series 'y' has 100 rows .* a context of 90 and a horizon of 24 need at least 114"
    ):
        read_training_data(options(context=90), [path], None, None)
    assert read_training_data(options(), [path], None, None).context == 28
    with pytest.raises(SteploomError, match="a context of 60 and a horizon of 60 need at least 120"):
        read_training_data(options(horizon=60), [path], None, None)
