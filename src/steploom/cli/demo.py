"""`steploom demo`: a forecast from data that come with the package, from the file to the picture."""

from __future__ import annotations

import gzip
import shlex
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
    "past_covariates": "DEWP,TEMP,PRES,Iws",
    "hidden_size": 32,
    "batch_size": 64,
    "members": 1,
    "epochs": 10,
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

    A network learns from ten months of hourly PM2.5 (fine dust). It is scored on the two months after them, beside the
    naive forecasts "as yesterday at this hour" and "as a week ago at this hour". Then it forecasts the day after.
    """
    from steploom.cli.report import say, working
    from steploom.cli.tables import score_table, show
    from steploom.tasks.train import train
    from steploom.training.option_errors import flag
    from steploom.training.output import check_output

    model_directory = directory / "model"
    check_output(model_directory, force=True)
    past, later = write_sample(directory)
    say("Hourly PM2.5 (fine dust) in Beijing: learning from January to October 2014 ...")
    with working(notes=False):
        model = train("forecast", past, model_directory, test=later, force=True, **OPTIONS)
        picture, forecast = directory / "forecast.png", directory / "forecast.csv"
        model.plot(picture, later)
        model.predict(later).write(forecast)
    scores = model.report["test"]
    title = "Forecasts of 24 hours, one a day in November and December 2014"
    show(score_table(title, scores["metrics"], scores["baselines"], model.task.metrics, target_unit="ug/m3"))
    click.echo(f"\n{picture} shows the last days, and tomorrow with its intervals.")
    click.echo(f"{forecast} holds tomorrow as numbers.")
    click.echo(f"{model_directory} holds the model.")
    click.echo("\nThe same by hand:")
    options = " ".join(f"{flag(name)} {value}" for name, value in OPTIONS.items())
    first, second = (shlex.quote(str(file)) for file in (past, later))
    click.echo(f"  steploom train forecast {first} -o my-model --test {second} \\\n    {options}")
    click.echo(f"  steploom predict my-model {second}")


def write_sample(directory: Path) -> tuple[Path, Path]:
    """Writes the sample as two files, split in time: what is learnt from, and what is scored."""
    head, *rows = gzip.decompress(SAMPLE.read_bytes()).decode().splitlines(keepends=True)
    cut = next(number for number, row in enumerate(rows) if row.startswith(TEST_BEGINS))
    directory.mkdir(parents=True, exist_ok=True)
    files = directory / "beijing-until-october.csv", directory / "beijing-november-december.csv"
    for file, part in zip(files, (rows[:cut], rows[cut:]), strict=True):
        file.write_text(head + "".join(part), encoding="utf-8")
    return files
