"""A forecast in Python, from the sample that comes with the package.

    python examples/forecast.py

It trains for a few seconds only; `steploom demo` trains for longer and draws the picture.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import steploom

SAMPLE = Path(steploom.__file__).parent / "tasks" / "samples" / "beijing_pm25_2014.csv.gz"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = steploom.train(
            "forecast",
            SAMPLE,
            Path(folder) / "model",
            target="pm2.5",
            horizon=24,
            hidden_size=16,
            epochs=1,
            batch_size=32,
        )
        for name, scores in {
            "model": model.report["validation"]["metrics"],
            **model.report["validation"]["baselines"],
        }.items():
            print(f"{name}: MAE {scores['mae']:.1f} ug/m3")
        tomorrow = model.predict().value
        print(tomorrow[["time", "q0.1", "q0.5", "q0.9"]].head(6).to_string(index=False))


if __name__ == "__main__":
    main()
