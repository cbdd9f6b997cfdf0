"""`steploom demo`: a forecast from data that come with the package, from the file to the picture."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import click

from steploom.cli.help import HELP_SETTINGS

__all__ = ["command"]

SAMPLE = Path(__file__).parents[1] / "tasks" / "samples" / "beijing_pm25_2014.csv.gz"
TEST_BEGINS = "2014-11-01"
OPTIONS: dict[str, Any] = {
    "target": "pm2.5",
    "horizon": 24,
    "epochs": 8,
}


@click.command("demo", context_settings=HELP_SETTINGS)
@click.option(
    "-o",
    "--out",
    "directory",
    type=click.Path(path_type=Path),
    default=Path("steploom-demo"),
    metavar="DIR",
    help="where everything goes [steploom-demo]",
)
def command(directory: Path) -> None:
    """Forecast tomorrow's air quality in Beijing, in about a minute.

    A network learns from ten months of hourly PM2.5 (fine dust), is scored on the two months after them beside the
    naive forecast "as at the same hour of the week before", and forecasts the day after.
    """
    from steploom.cli.report import say, working
    from steploom.cli.tables import score_table, show
    from steploom.tasks.trained import train
    from steploom.training.directory import check_output

    model_directory = directory / "model"
    check_output(model_directory, force=True)
    past, later = write_sample(directory)
    say(f"PM2.5 in Beijing, hourly: learning from {past}, to be scored on {later}.")
    with working():
        model = train("forecast", past, model_directory, test=later, force=True, **OPTIONS)
        picture, forecast = directory / "forecast.png", directory / "forecast.csv"
        model.plot(picture, later)
        model.predict(later).write(forecast)
    scores = model.report["test"]
    show(score_table("24 hours ahead, November and December 2014", scores["metrics"], scores["baselines"]))
    click.echo(f"\n{forecast} holds tomorrow, hour by hour, with intervals.")
    click.echo(f"{picture} shows it.")
    click.echo("\nThe same by hand:")
    click.echo(f"  steploom train forecast {past} -o my-model --test {later} --target pm2.5 --horizon 24")
    click.echo(f"  steploom predict my-model {later}")


def write_sample(directory: Path) -> tuple[Path, Path]:
    """Writes the sample as two files, split in time: what is learnt from, and what is scored."""
    head, *rows = gzip.decompress(SAMPLE.read_bytes()).decode().splitlines(keepends=True)
    cut = next(number for number, row in enumerate(rows) if row.startswith(TEST_BEGINS))
    directory.mkdir(parents=True, exist_ok=True)
    files = directory / "beijing-until-october.csv", directory / "beijing-november-december.csv"
    for file, part in zip(files, (rows[:cut], rows[cut:]), strict=True):
        file.write_text(head + "".join(part), encoding="utf-8")
    return files
