"""Training windows whose level wanders: the option reaches the training, and the training alone."""

from pathlib import Path

import pytest
import torch

from steploom.errors import OptionError
from steploom.tasks.forecast.task import Forecast, ForecastOptions
from tests.tasks.forecast.test_network import table


def test_only_training_windows_wander(tmp_path: Path) -> None:
    file = table(tmp_path)
    plain, wandering = (Forecast.prepare(ForecastOptions(horizon=12, level_walk=size), [file]) for size in (0.0, 0.1))
    pairs = [
        (plain.train.batch(0, 0), wandering.train.batch(0, 0)),
        (plain.task._all_windows(3).batch(0, 0), wandering.task._all_windows(3).batch(0, 0)),  # type: ignore[misc]
    ]
    for one, other in pairs:
        assert torch.equal(one["observed"], other["observed"])
        assert not torch.equal(one["values"], other["values"])
    assert plain.valid is not None and wandering.valid is not None
    one, other = plain.valid.batch(0, 0), wandering.valid.batch(0, 0)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_counts_do_not_wander(tmp_path: Path) -> None:
    options = ForecastOptions(horizon=12, level_walk=0.1, output="negative_binomial")
    with pytest.raises(OptionError, match="--level-walk: counts"):
        Forecast.prepare(options, [counts(tmp_path)])


def counts(folder: Path) -> Path:
    import pandas as pd

    frame = pd.read_csv(table(folder))
    frame["y"] = frame["y"].round().astype("Int64")
    frame.to_csv(folder / "counts.csv", index=False)
    return folder / "counts.csv"
