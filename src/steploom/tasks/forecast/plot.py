"""A picture of forecasts: the last values, the median, the 50 % and 80 % intervals, and what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from steploom.data.series.series import Series
from steploom.tasks.forecast.prediction import ToPlot
from steploom.tasks.picture import fonts_for, new_figure, write_picture

__all__ = ["plot_forecasts"]

_MEASURED, _FORECAST = "#333333", "#0b6fb8"
# Quantiles 0.1 to 0.9 and, between 0.2 and 0.3 as between 0.7 and 0.8, the bounds of the middle half.
_LOW, _MEDIAN, _HIGH = 0, 4, 8


def plot_forecasts(shown: ToPlot, path: Path) -> None:
    """Writes the picture, a panel a series."""
    count = len(shown.data)
    columns = 1 if count <= 3 else 2
    rows = -(-count // columns)
    figure = new_figure(10 if columns == 1 else 15, 1.2 + 3.0 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for i, panel in enumerate(panels):
        if i < count:
            _draw(panel, shown, i)
        else:
            panel.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    write_picture(figure, path, 120)


def _draw(panel: Any, shown: ToPlot, number: int) -> None:
    from matplotlib import dates

    data, series = shown.data, shown.data.series[number]
    own = np.flatnonzero(shown.origins.series == number)
    horizon = shown.forecasts.mean.shape[1]
    shown_rows = max(30, min(max(6 * horizon, 3 * (data.seasons or (1,))[0]), 12 * horizon))
    first = max(0, len(series) - shown_rows)
    panel.plot(
        data.times(series, first, len(series) - first),
        series.target[first:],
        color=_MEASURED,
        lw=1.2,
        zorder=3,
        label="measured",
    )
    for place, window in enumerate(own):
        _draw_forecast(panel, shown, series, int(window), label=place == 0)
    panel.axvline(data.times(series, len(series) - 1, 1)[0], color="#999999", lw=0.8, ls=":")
    text: dict[str, Any] = {"family": fonts_for("DejaVu Sans"), "parse_math": False}
    panel.set_title(series.id if series.id != data.target else "", loc="left", fontsize=10, **text)
    panel.set_ylabel(data.target, **text)
    panel.margins(x=0.01)
    locator: Any = dates.AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)


def _draw_forecast(panel: Any, shown: ToPlot, series: Series, window: int, label: bool) -> None:
    row = int(shown.origins.rows[window])
    quantiles = shown.forecasts.quantiles[window]
    times = shown.data.times(series, row, len(quantiles))
    half = (quantiles[:, 1] + quantiles[:, 2]) / 2, (quantiles[:, 6] + quantiles[:, 7]) / 2
    bands = ((quantiles[:, _LOW], quantiles[:, _HIGH], 0.18, "80 %"), (*half, 0.32, "50 %"))
    for low, high, alpha, name in bands:
        panel.fill_between(
            times, low, high, color=_FORECAST, alpha=alpha, lw=0, label=f"{name} interval" if label else None
        )
    panel.plot(times, quantiles[:, _MEDIAN], color=_FORECAST, lw=1.6, label="forecast (median)" if label else None)
