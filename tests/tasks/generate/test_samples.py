"""New text from a trained model."""

import json

import pytest
import torch

from steploom.errors import OptionError
from steploom.tasks.train import train

PATTERN = "abcdef\n" * 60
NAMES = ["anna", "berta", "carl", "dora", "emil", "fritz"] * 10


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A model that knows its text by heart."""
    path = tmp_path_factory.mktemp("running")
    (path / "text.txt").write_text(PATTERN)
    options = {
        "hidden_size": 24,
        "num_layers": 1,
        "dropout": 0.0,
        "lr": 0.02,
        "bptt": 20,
        "batch_size": 4,
        "epochs": 12,
    }
    return train("generate", path / "text.txt", path / "m", progress=False, **options)


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """A model of lines that knows six names by heart."""
    path = tmp_path_factory.mktemp("lines")
    (path / "names.txt").write_text("\n".join(NAMES))
    options = {"hidden_size": 24, "num_layers": 1, "dropout": 0.0, "lr": 0.02, "batch_size": 8, "epochs": 30}
    return train("generate", path / "names.txt", path / "m", lines=True, progress=False, **options)


def test_a_greedy_text_goes_on_as_learnt(running):
    assert running.predict(prompt="abc", temperature=0, max_new_tokens=11).text == "abcdef\nabcdef\n\n"
    assert running.predict(temperature=0, max_new_tokens=6).value == ["abcdef"]


def test_beam_search_finds_the_learnt_text_too(running):
    found = running.predict(prompt="cd", num_beams=4, num_samples=2, max_new_tokens=5).value
    assert found[0] == "cdef\nab" and found[1] != found[0]


def test_the_seed_decides_what_is_drawn(running):
    drawn = [running.predict(temperature=3.0, max_new_tokens=40, seed=seed).text for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_drawing_leaves_the_global_generator_alone(running):
    before = torch.random.get_rng_state()
    running.predict(max_new_tokens=5)
    assert torch.equal(before, torch.random.get_rng_state())


def test_lines_end_where_they_end(lines):
    prediction = lines.predict(num_samples=200, temperature=0.8)
    assert prediction.text == "\n".join(prediction.value) + "\n"
    assert len(prediction.value) == 200
    known = [text for text in prediction.value if text in NAMES]
    assert len(known) > 180 and len(set(known)) == 6


def test_a_line_goes_on_from_its_prompt_and_from_each_line_of_a_file(lines, tmp_path):
    assert lines.predict(prompt="be", temperature=0).value == ["berta"]
    (tmp_path / "prompts.txt").write_text("do\ncar\n")
    assert lines.predict(tmp_path / "prompts.txt", temperature=0).value == ["dora", "carl"]
    assert lines.predict(tmp_path / "prompts.txt", num_samples=3).value[3].startswith("car")


def test_the_best_of_a_beam_are_the_six_names(lines):
    found = lines.predict(num_beams=12, num_samples=6, length_penalty=0.0).value
    assert set(found) == set(NAMES)


def test_texts_are_written_as_lines_or_with_their_probabilities(lines, running, tmp_path):
    prediction = lines.predict(num_samples=3, num_beams=3)
    prediction.write(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == prediction.text
    prediction.write(tmp_path / "a.JSONL")
    rows = [json.loads(line) for line in (tmp_path / "a.JSONL").read_text().splitlines()]
    assert [row["text"] for row in rows] == prediction.value
    assert all(row["ended"] and row["log_prob"] < 0 for row in rows)
    two = running.predict(num_samples=2, max_new_tokens=7)
    assert two.text == two.value[0] + "\n" + "-" * 20 + "\n" + two.value[1] + "\n"


def test_marks_are_never_written(lines):
    drawn = "".join(lines.predict(num_samples=300, temperature=5.0).value)
    assert set(drawn) <= set("".join(NAMES))
    assert "�" in "".join(lines.predict(num_samples=300, temperature=5.0, allow_unknown=True).value)


def test_an_unknown_character_in_a_prompt_is_read_and_said(lines, caplog):
    caplog.set_level("INFO", logger="steploom")
    assert lines.predict(prompt="é", temperature=0).value[0].startswith("é")
    assert "unknown to the model, which reads <unk> instead: 1 of the prompt's characters" in caplog.text


def test_a_line_can_be_made_longer(lines):
    assert all(len(text) >= 6 for text in lines.predict(num_samples=20, min_new_tokens=6, max_new_tokens=9).value)
    assert all(len(text) >= 30 for text in lines.predict(num_samples=20, min_new_tokens=30).value)


def test_a_line_has_no_line_end_within_it(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    options = {"unit": "bpe", "vocabulary_size": 260, "hidden_size": 4, "num_layers": 1, "epochs": 1}
    model = train("generate", tmp_path / "names.txt", tmp_path / "m", lines=True, progress=False, **options)
    drawn = model.predict(num_samples=400, temperature=5.0)
    assert drawn.text.count("\n") == 400 and "\r" not in drawn.text


def test_blank_lines_are_no_prompts_which_is_said(lines, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    path = tmp_path / "prompts.txt"
    path.write_text("do\n\n \ncar\n")
    assert lines.predict(path, temperature=0).value == ["dora", "carl"]
    assert f"{path}: 2 blank lines, which are no prompt" in caplog.messages


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_beams": 3, "temperature": 0.5}, "--temperature: beam search draws nothing"),
        ({"num_samples": 3, "temperature": 0}, "--num-samples: greedy decoding can give 1 at most, found 3"),
        ({"num_samples": 3, "num_beams": 2}, "--num-samples: 2 beams can give 2 at most, found 3"),
        ({"prompt": "a\nb"}, "this model writes single lines"),
        ({"temperature": -1}, "--temperature: expected a number of at least 0"),
        ({"top_p": 0}, "--top-p: expected"),
        ({"num_beam": 2}, "Did you mean '--num-beams'"),
    ],
)
def test_options_that_do_not_fit_are_refused(lines, options, message):
    with pytest.raises(OptionError, match=message):
        lines.predict(**options)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"top_k": 5, "temperature": 0}, ("--top-k", "--temperature 0")),
        ({"top_p": 0.9, "temperature": 0}, ("--top-p", "--temperature 0")),
        ({"top_k": 5, "num_beams": 2}, ("--top-k", "--num-beams 2")),
        ({"top_p": 0.5, "num_beams": 2}, ("--top-p", "--num-beams 2")),
        ({"temperature": 0.5, "num_beams": 2}, ("--temperature", "--num-beams 2")),
        ({"length_penalty": 2.0}, ("--length-penalty", "--num-beams")),
        ({"early_stopping": "true", "temperature": 0}, ("--early-stopping", "--num-beams")),
        ({"min_new_tokens": 9, "max_new_tokens": 4}, ("--min-new-tokens", "--max-new-tokens 4")),
    ],
)
def test_an_option_outside_its_mode_is_refused_and_both_are_named(lines, options, named):
    with pytest.raises(OptionError) as caught:
        lines.predict(**options)
    assert all(f"{name}" in str(caught.value) for name in named)


@pytest.mark.parametrize("options", [{"min_new_tokens": 5}, {"length_penalty": 2.0}, {"early_stopping": "never"}])
def test_what_is_for_lines_is_refused_by_a_model_of_running_text(running, options):
    name = "--" + next(iter(options)).replace("_", "-")
    with pytest.raises(OptionError, match=f"{name}.*--lines.*--max-new-tokens"):
        running.predict(num_beams=1 if "min_new_tokens" in options else 2, **options)


def test_an_option_that_is_given_its_default_is_no_contradiction(lines, running):
    assert lines.predict(temperature=0, top_k=0, top_p=1.0, length_penalty=1.0).value
    assert running.predict(num_beams=2, temperature=1.0, min_new_tokens=0, max_new_tokens=3, seed=3).value


def test_prompts_from_two_places_are_refused(lines, tmp_path):
    with pytest.raises(OptionError, match="--prompt: the prompts come from"):
        lines.predict(tmp_path / "prompts.txt", prompt="a")
