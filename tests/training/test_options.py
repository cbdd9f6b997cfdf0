"""Options: ranges, and messages of one line that say what to do."""

from typing import Literal

import pytest

from steploom.errors import OptionError
from steploom.tasks.registry import task_class
from steploom.training.options import Options, TrainOptions, option


class Some(Options):
    horizon: int = option(..., "steps", ge=1)
    share: float = option(0.5, "share", gt=0, le=1)
    colour: Literal["red", "green"] = option("red", "colour")
    names: tuple[str, ...] = option((), "names")
    on: bool = option(False, "on")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "--horizon is required"),
        ({"horizon": 0}, "--horizon: expected a whole number of at least 1, found 0"),
        ({"horizon": "0"}, "--horizon: expected a whole number of at least 1, found '0'"),
        ({"horizon": "ten"}, "--horizon: expected a whole number of at least 1, found 'ten'"),
        ({"horizon": 2.5}, "--horizon: expected a whole number of at least 1, found 2.5"),
        ({"horizon": 1, "share": 1.5}, "--share: expected a number of more than 0 and at most 1, found 1.5"),
        ({"horizon": 1, "share": float("nan")}, "--share: expected a number of more than 0 and at most 1, found nan"),
        ({"horizon": 1, "colour": "gren"}, "--colour: expected one of red, green, found 'gren'. Did you mean 'green'?"),
        ({"horizon": 1, "on": "maybe"}, "--on: expected true or false, found 'maybe'"),
        ({"horizon": 1, "names": 3}, "--names: expected a list, found 3"),
        ({"horizn": 1, "horizon": 1}, "there is no option --horizn. Did you mean '--horizon'?"),
    ],
)
def test_messages(values, message):
    with pytest.raises(OptionError) as caught:
        Some.checked(values)
    assert str(caught.value) == message


def test_a_file_is_named_with_the_option_as_it_stands_there():
    with pytest.raises(OptionError) as caught:
        Some.checked({"horizn": 1}, where="a.yaml")
    assert str(caught.value) == "a.yaml: there is no option horizn. Did you mean 'horizon'?"
    with pytest.raises(OptionError, match=r"^a\.yaml: horizon: expected a whole number"):
        Some.checked({"horizon": -1}, where="a.yaml")


def test_text_is_read_as_the_option_wants_it():
    some = Some.checked({"horizon": "3", "share": "0.25", "on": "true"})
    assert (some.horizon, some.share, some.on) == (3, 0.25, True)


def test_an_unknown_cell_names_the_nearest():
    with pytest.raises(OptionError, match=r"--cell: there is no cell 'lsmt'\. Did you mean 'lstm'\?"):
        TrainOptions.checked({"cell": "lsmt"})
    assert TrainOptions.checked({"cell": "my.cells:Mine"}).cell == "my.cells:Mine"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"momentum": 0.9}, "--momentum is for --optimizer sgd or rmsprop"),
        ({"optimizer": "sgd", "nesterov": True}, "--nesterov is a form of --momentum"),
        ({"optimizer": "rmsprop", "momentum": 0.5, "nesterov": True}, "--nesterov is a form of --momentum"),
    ],
)
def test_options_that_would_do_nothing_are_refused(values, message):
    with pytest.raises(OptionError, match=message):
        TrainOptions.checked(values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"decay": 0.3}, "--decay"),
        ({"decay_every": 2, "schedule": "cosine"}, "--decay-every"),
        ({"decay_after": 3, "schedule": "plateau"}, "--decay-after"),
    ],
)
def test_a_decay_that_the_schedule_does_not_know_is_refused(values, named):
    with pytest.raises(OptionError) as caught:
        TrainOptions.checked(values)
    assert str(caught.value).startswith(f"{named}: --schedule {values.get('schedule', 'constant')} has none")
    for schedule in ("step", "exponential"):
        TrainOptions.checked({**values, "schedule": schedule})
    TrainOptions.checked({"decay": 0.3, "decay_every": 2, "schedule": "plateau"})


@pytest.mark.parametrize(("task", "others"), [("generate", {"lines": True}), ("tag", {}), ("translate", {})])
def test_not_everything_is_for_validation(task, others):
    options = task_class(task).TrainOptions
    for every in (2, 0):
        assert options.checked({"valid_every": every, **others}).valid_every == every
    assert "(2 or more)" in (options.model_fields["valid_every"].description or "")
    with pytest.raises(OptionError, match="--valid-every: expected 2 or more, or 0 for none, found 1"):
        options.checked({"valid_every": 1, **others})


@pytest.mark.parametrize("name", ["hidden_size", "num_layers", "batch_size"])
def test_sizes_that_no_machine_has(name):
    with pytest.raises(OptionError, match=r"--.*: expected at most 1,0.*, found 99999999999"):
        TrainOptions.checked({name: 99999999999})


def test_an_option_is_given_at_its_default_too():
    assert Some.checked({"horizon": 1}).given("horizon") and not Some.checked({"horizon": 1}).given("share")
    assert Some.checked({"horizon": 1, "share": "0.5", "colour": "red"}).given("share")
    assert Some.checked({"horizon": 1, "names": ["a"]}).given("names")
    none = Some.checked({"horizon": 1, "on": False, "names": []})
    assert not none.given("on") and not none.given("names"), "what is off by default and stays off asks for nothing"


def test_of_a_file_with_every_option_the_defaults_are_not_given():
    kept = Some.unless_default({**Some.checked({"horizon": 1, "on": True}).model_dump(mode="json"), "other": 2})
    assert kept == {"horizon": 1, "on": True, "other": 2}


@pytest.mark.parametrize(
    ("task", "kind", "values", "message"),
    [
        ("classify", "TrainOptions", {"decay": 0.5}, "--decay: --schedule .* has none"),
        ("translate", "TrainOptions", {"attention": "none", "attend": "after"}, "--attend is for an attention"),
        ("translate", "TrainOptions", {"feedback": "argmax"}, "--feedback is for --forcing scheduled or free"),
        ("tag", "TrainOptions", {"vector_words": 20000}, "--vector-words is for --vectors FILE"),
        ("embed", "PredictOptions", {"nearest": 5}, "--nearest: nearest among which sentences"),
        ("embed", "PredictOptions", {"first": "a"}, "--first: it names a column of a table of pairs"),
        ("embed", "EvaluateOptions", {"running_text": True, "score": "s"}, "--score: --running-text scores running"),
    ],
)
def test_what_has_no_effect_is_refused_at_its_default_too(task, kind, values, message):
    model = getattr(task_class(task), kind)
    with pytest.raises(OptionError, match=message):
        model.checked(values)
    model.checked(model.unless_default({**model.checked({}).model_dump(mode="json")}))


def test_switching_off_what_is_off_is_no_fault():
    task_class("translate").TrainOptions.checked({"attention": "none", "hard": False, "input_feeding": "false"})
