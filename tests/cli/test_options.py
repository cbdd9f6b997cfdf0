"""Options made from typed fields."""

from pathlib import Path

import click
import pytest

from steploom.cli.options import click_options, resolve
from steploom.errors import OptionError
from steploom.tasks.registry import task_class


def parsed(*words: str) -> dict[str, object]:
    command = click.Command("train", params=click_options(task_class("forecast").TrainOptions))
    return command.make_context("train", list(words)).params


def test_both_forms_of_a_yes_or_no() -> None:
    assert parsed("--refit")["refit"] is True
    assert parsed("--no-refit")["refit"] is False
    assert parsed()["refit"] is None


def test_a_name_with_a_comma_is_quoted() -> None:
    assert parsed("--target", '"load, MW",temp', "--target", "b")["target"] == ("load, MW", "temp", "b")
    with pytest.raises(OptionError, match=r"^--target: expected names separated by commas"):
        parsed("--target", '"load, MW')


def test_a_default_is_given_where_it_is_typed_and_not_where_a_file_has_every_option() -> None:
    options = task_class("classify").TrainOptions
    everything = options.checked({}).model_dump(mode="json")
    assert not resolve(options, {}, everything, Path("config.yaml")).given("cell")
    assert resolve(options, {"cell": "lstm"}, everything, Path("config.yaml")).given("cell")


def test_what_is_typed_takes_back_what_the_file_says() -> None:
    options = task_class("forecast").TrainOptions
    file = {"target": "y", "horizon": 3, "refit": False, "calendar": False}
    checked = resolve(options, parsed("--refit"), file, Path("options.yaml"))
    assert checked.model_dump()["refit"] is True
    assert checked.model_dump()["calendar"] is False
