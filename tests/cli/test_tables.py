"""Tables on the terminal."""

import pytest

from steploom.cli.tables import facts_table, score_table, show
from steploom.tasks.forecast.task import Forecast
from steploom.tasks.registry import TASKS, task_class
from steploom.tasks.task import MetricLabel


def test_scores_are_aligned_and_have_their_units(capsys: pytest.CaptureFixture[str]) -> None:
    model = {"mae": 59.52, "coverage_80": 0.778, "wql": 0.5016, "windows": 61.0, "rmse": 87.76}
    naive = {"seasonal_naive_24": {"mae": 111.9, "coverage_80": 0.5, "rmse": 1234.0}}
    show(score_table("scores", model, naive, Forecast.metrics, "kW"))
    title, head, *lines = capsys.readouterr().out.splitlines()
    assert title == "scores"
    assert [line.split() for line in lines] == [
        ["MAE", "59.5", "111.9", "kW", "lower"],
        ["80", "%", "coverage", "77.8", "50.0", "%", "near", "80"],
        ["quantile", "loss", "0.5016", "lower"],
        ["windows", "61"],
        ["RMSE", "87.8", "1,234", "kW", "lower"],
    ]
    assert {line.rindex("lower") for line in lines if "lower" in line} == {head.index("better")}
    assert lines[0].index("111.9") + 5 == head.index("seasonal naive 24") + len("seasonal naive 24")


def test_the_metric_of_a_single_class_is_called_as_that_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    labels = {"f1": MetricLabel("F1", "%", "higher")}
    show(score_table("scores", {"f1": 0.5, "f1_loc": 0.25, "words_read": 3.0}, {}, labels))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert lines == [["F1", "50", "%", "higher"], ["F1:", "loc", "25", "%", "higher"], ["words", "read", "3"]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.3e9, "3.300e+09"),
        (0.00123, "0.00123"),
        (1.5e-298, "1.500e-298"),
        (4e-5, "4.000e-05"),
        (float("nan"), "nan"),
        (0.0, "0"),
        (175.04, "175.0"),
    ],
)
def test_numbers_of_any_size(value: float, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(score_table("", {"mase": value}, {}, Forecast.metrics))
    assert capsys.readouterr().out.splitlines()[-1].split() == ["MASE", text, "lower"]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((1187.2, 0.923, 1.1143, 0.0), ("1,187", "0.923", "1.11", "0")),
        ((4_573_096.0, 3016.2, -12.345), ("4,573,096", "3,016", "-12.3")),
        ((0.2808, 0.000213, 0.0000213, 0.00042), ("0.2808", "0.000213", "2.13e-05", "0.000420")),
        ((33.33, 9.9996, float("nan"), float("inf")), ("33.33", "10.00", "nan", "inf")),
        ((3.3e9, 2.0), ("3.300e+09", "2.000e+00")),
    ],
)
def test_small_numbers_beside_large_ones_keep_three_digits(
    values: tuple[float, ...], texts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    baselines = {f"b{i}": {"mase": value} for i, value in enumerate(values[1:])}
    show(score_table("", {"mase": values[0]}, baselines, Forecast.metrics))
    assert capsys.readouterr().out.splitlines()[-1].split() == ["MASE", *texts, "lower"]


def test_facts(capsys: pytest.CaptureFixture[str]) -> None:
    show(facts_table({"parameters": 12345, "can_resume": True, "sizes": [1, 2], "options": {"lr": 0.001}}))
    shown = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert shown == [["parameters", "12,345"], ["can", "resume  yes"], ["sizes", "1, 2"], ["options", "lr=0.001"]]


def test_a_task_names_its_own_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    show(score_table("", {"cer": 0.257}, {}, {"cer": MetricLabel("character error rate", "%", "lower")}))
    assert capsys.readouterr().out.splitlines()[-1].split() == ["character", "error", "rate", "25.7", "%", "lower"]
    for name in TASKS:
        labels = task_class(name).metrics
        assert labels and all(isinstance(label, MetricLabel) and label.name for label in labels.values())


@pytest.mark.parametrize(
    "names", [["seasonal_naive_24", "seasonal_naive_168"], [f"seasonal_naive_{n}" for n in range(9)]]
)
def test_nothing_is_cut_off_a_wide_table(
    names: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    scores = {"mae": 1.234567e9, "coverage_80": 0.778}
    show(score_table("scores", scores, dict.fromkeys(names, scores), Forecast.metrics, "micrograms a cubic metre"))
    shown = capsys.readouterr().out
    assert "near 80" in shown and "micrograms a cubic metre" in shown and "\u2026" not in shown
    assert shown.count("1.235e+09") == shown.count("77.8") == 1 + len(names)


def test_facts_within_facts_can_be_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    show(facts_table({"training": {"epochs": 3, "refit": {"steps": 9}, "columns": ["a [C]", "b"], "best": None}}))
    assert "epochs=3, refit=(steps=9), columns=(a [C], b), best=none" in capsys.readouterr().out


def test_names_in_brackets_stay(capsys: pytest.CaptureFixture[str]) -> None:
    show(score_table("model on [x].csv", {"f1_[B]": 0.5}, {}, {"f1": MetricLabel("F1", "%", "higher")}))
    printed = capsys.readouterr().out
    assert "model on [x].csv" in printed and "F1: [B]" in printed
