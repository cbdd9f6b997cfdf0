"""The table of forecasts that users get: a row a time, its mean and its quantiles, and what was measured if known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from steploom.data.series.series import FloatArray, SeriesSet, TimeArray
from steploom.models.outputs import LEVELS
from steploom.tasks.forecast.backtest import Forecasts, Origins

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["csv_text", "forecast_frame", "write_frame"]


def forecast_frame(
    data: SeriesSet, origins: Origins, forecasts: Forecasts, actual: FloatArray | None = None, utc: bool = False
) -> pd.DataFrame:
    """Forecasts as a table with the columns series, time, mean, q0.1 to q0.9.

    The first two have the names that the user gave them: unless another column here has that name, as where series are
    told apart by an `origin`. They are `unique_id` and `time` then.

    Args:
        data, origins, forecasts: the series, where forecasts start, and what was forecast.
        actual: (windows, horizon), what was measured, NaN where nothing was. It adds a column `origin` before the time
            and a column `actual` behind it.
        utc: whether the times say that they are in UTC, as where those of the training data had a zone.
    """
    import pandas as pd

    count, horizon = forecasts.mean.shape
    ids = np.array([s.id for s in data], dtype=object)
    times = np.empty((count, horizon), "datetime64[ns]")
    for series, own in zip(data, origins.of_each(len(data)), strict=True):
        if len(own):
            grid = data.times(series, 0, int(origins.rows[own].max()) + horizon)
            times[own] = grid[origins.rows[own][:, None] + np.arange(horizon)]
    values: dict[str, Any] = {"mean": forecasts.mean.reshape(-1)}
    for i, level in enumerate(LEVELS):
        values[f"q{level}"] = forecasts.quantiles[:, :, i].reshape(-1)
    scored: dict[str, Any] = {}
    if actual is not None:
        scored["origin"] = _column(np.repeat(times[:, 0], horizon), utc)
        values = {"actual": actual.reshape(-1), **values}
    taken = {*scored, *values}
    series_name = data.series_name if data.series_name not in taken else "unique_id"
    taken.add(series_name)
    time_name = next(name for name in (data.time, "time", "ds") if name not in taken)
    who, when = np.repeat(ids[origins.series], horizon), _column(times.reshape(-1), utc)
    return pd.DataFrame({series_name: who, **scored, time_name: when, **values})


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Writes forecasts as CSV, or as Parquet where the name ends in .parquet. Times look like 2014-12-31 23:00:00, in
    UTC like 2014-12-31 23:00:00+00:00."""
    if path.suffix.lower() == ".parquet":
        frame.to_parquet(path, index=False)
        return
    path.write_text(csv_text(frame), encoding="utf-8")


def csv_text(frame: pd.DataFrame) -> str:
    """Forecasts as CSV; dates alone where no time has hours."""
    names = [name for name in frame.columns if frame[name].dtype.kind == "M"]
    utc = any(frame[name].dt.tz is not None for name in names)
    # All times of a file in one form, or readers would guess it for each column anew.
    times = np.concatenate([frame[name].to_numpy("datetime64[ns]") for name in names])
    texts = stamps(times, utc).reshape(len(names), -1)
    written = frame.assign(**dict(zip(names, texts, strict=True)))
    return str(written.to_csv(index=False, float_format="%.9g"))


def _column(times: TimeArray, utc: bool) -> pd.DatetimeIndex:
    import pandas as pd

    found = pd.DatetimeIndex(times)
    return found.tz_localize("UTC") if utc else found


def stamps(times: TimeArray, utc: bool = False) -> npt.NDArray[np.str_]:
    """Times as text, no finer than needed: days where every time is midnight, else seconds, else nanoseconds.

    Args:
        times: the times.
        utc: whether the text says that they are in UTC, with hours then.
    """
    distinct, place = np.unique(times, return_inverse=True)
    days, seconds = distinct.astype("datetime64[D]"), distinct.astype("datetime64[s]")
    if (days == distinct).all() and not utc:
        return np.datetime_as_string(days)[place]
    text = np.datetime_as_string(seconds if (seconds == distinct).all() else distinct)
    text = np.char.replace(text, "T", " ")
    return (np.char.add(text, "+00:00") if utc else text)[place]
