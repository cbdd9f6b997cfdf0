"""The task `generate`, from text files to figures."""

import collections
import math

import pytest
import torch

from steploom.data.text.learn_vocabulary import learn_vocabulary
from steploom.errors import DataError, ModelDirectoryError, OptionError
from steploom.tasks.generate import scores as generate_scores
from steploom.tasks.train import train
from steploom.tasks.trained import load

SMALL = {"hidden_size": 12, "embedding_size": 6, "num_layers": 1, "dropout": 0.0, "progress": False, "epochs": 1}
PROSE = "the quick brown fox jumps over the lazy dog.\nit never looks back.\n" * 12
POEMS = [f"{a}風{b}月\U00020000" for a in "春夏秋冬" for b in "天地玄黃宇宙洪荒日月"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts")
    (path / "prose.txt").write_text(PROSE, encoding="utf-8")
    (path / "poems.tsv").write_text("".join(f"x\tt\t{poem}\n" for poem in POEMS), encoding="utf-8")
    (path / "unseen.txt").write_text("a Fox, été.\n", encoding="utf-8")
    return path


def trained(folder, name, out, **options):
    return train("generate", folder / name, out, **{**SMALL, **options})


@pytest.fixture(scope="module")
def characters(folder, tmp_path_factory):
    return trained(
        folder, "prose.txt", tmp_path_factory.mktemp("m") / "characters", epochs=4, bptt=20, lr=0.02, batch_size=4
    )


@pytest.fixture(scope="module")
def words(folder, tmp_path_factory):
    return trained(folder, "prose.txt", tmp_path_factory.mktemp("m") / "words", unit="words")


@pytest.fixture(scope="module")
def lines(folder, tmp_path_factory):
    return trained(folder, "poems.tsv", tmp_path_factory.mktemp("m") / "lines", column=3, epochs=40, lr=0.03)


def by_hand(model, numbers):
    """Log-probability of each token, one step at a time from the start of the text."""
    network, total = model.network, []
    with torch.no_grad():
        state = network.read(torch.zeros(0, 1, dtype=torch.long))
        for before, token in zip([model.task.vocabulary.start, *numbers], numbers, strict=False):
            logits, state = network.step(torch.tensor([before]), state)
            total.append(float(logits.log_softmax(-1)[0, token]))
    return total


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_every_token_of_a_text_counts_once_with_the_state_carried(request, folder, kind):
    model = request.getfixturevalue(kind)
    metrics = model.evaluate(folder / "prose.txt").metrics
    numbers = model.task.vocabulary.encode(PROSE)
    nats = -math.fsum(by_hand(model, numbers))
    assert metrics["tokens"] == len(numbers) == (len(PROSE) if kind == "characters" else 12 * 15)
    assert metrics["characters"] == len(PROSE)
    assert metrics["unknown"] == 0
    assert math.isclose(metrics["perplexity"], math.exp(nats / len(numbers)), rel_tol=1e-5)
    assert math.isclose(metrics["nats_per_char"], nats / len(PROSE), rel_tol=1e-5)
    assert math.isclose(metrics["bits_per_char"] * math.log(2), metrics["nats_per_char"], rel_tol=1e-9)


def test_the_figures_of_a_text_do_not_depend_on_how_it_is_cut(monkeypatch, characters, folder):
    whole = characters.evaluate(folder / "prose.txt").metrics
    monkeypatch.setattr(generate_scores, "_STEPS", 7)
    for name, value in characters.evaluate(folder / "prose.txt").metrics.items():
        assert math.isclose(value, whole[name], rel_tol=1e-6)


def test_the_figures_of_lines_do_not_depend_on_the_batch(monkeypatch, lines, folder):
    found = lines.evaluate(folder / "poems.tsv").metrics
    end = lines.task.vocabulary.end
    nats = -math.fsum(math.fsum(by_hand(lines, [*lines.task.vocabulary.encode(poem), end])) for poem in POEMS)
    assert found["tokens"] == found["characters"] == 6 * len(POEMS)
    assert math.isclose(found["perplexity"], math.exp(nats / (6 * len(POEMS))), rel_tol=1e-5)
    monkeypatch.setattr(generate_scores, "_LINES", 3)
    assert math.isclose(lines.evaluate(folder / "poems.tsv").metrics["perplexity"], found["perplexity"], rel_tol=1e-6)


def test_the_unigram_is_counted_from_the_training_part(characters, folder):
    cut = len(PROSE) - round(len(PROSE) * 0.1)
    counts = collections.Counter(PROSE[:cut])
    size = len(counts) + 1
    nats = -sum(math.log((counts[c] + 1) / (cut + size)) for c in PROSE)
    unigram = characters.evaluate(folder / "prose.txt").baselines["unigram"]
    assert math.isclose(unigram["nats_per_char"], nats / len(PROSE), rel_tol=1e-9)
    assert characters.evaluate(folder / "prose.txt").metrics["perplexity"] < unigram["perplexity"]


def test_unknown_characters_and_words_are_counted_and_said(characters, words, folder, caplog):
    caplog.set_level("INFO", logger="steploom")
    metrics = characters.evaluate(folder / "unseen.txt").metrics
    assert metrics["unknown"] == 4 and metrics["tokens"] == 12 and math.isfinite(metrics["perplexity"])
    assert "unknown to the model and counted as <unk>: 4 of 12 tokens" in caplog.text
    metrics = words.evaluate(folder / "unseen.txt").metrics
    assert metrics["unknown"] == 3 and metrics["tokens"] == 4


def test_the_last_tenth_of_a_text_validates(characters):
    report = characters.report
    assert report["validation"]["metrics"]["tokens"] == round(len(PROSE) * 0.1)
    assert characters.task.facts()["validation"] == f"the last 10% of the text, {round(len(PROSE) * 0.1)} characters"


def test_words_are_split_at_a_line_end(words):
    assert words.report["validation"]["metrics"]["tokens"] % 15 == 0
    assert words.task.artefacts["text"]["tokens"] % 15 in (0, 9)


@pytest.mark.parametrize(("unit", "end"), [("words", "\n"), ("words", ""), ("bpe", "\n"), ("bpe", "")])
def test_of_a_single_line_the_last_words_validate(tmp_path, unit, end):
    (tmp_path / "line.txt").write_text(" ".join(PROSE.split()) + end)
    size = {"vocabulary_size": 270} if unit == "bpe" else {}
    task = trained(tmp_path, "line.txt", tmp_path / "m", unit=unit, **size).task
    assert task.facts()["validation"].startswith("the last 10% of the text, 7")
    assert trained(tmp_path, "line.txt", tmp_path / "n", unit=unit, valid_share=0, **size).report["validation"] == {
        "metrics": {},
        "baselines": {},
    }


def test_a_model_of_lines_is_refused_without_the_marks_of_their_ends(lines, characters):
    saved = {"unit": "characters", "tokens": ["<unk>", "a"]}
    characters.task.readers()["vocabulary"](saved)
    with pytest.raises(ModelDirectoryError, match="no tokens for the two ends of a line"):
        lines.task.readers()["vocabulary"](saved)


def test_a_table_that_is_read_as_text_is_said(folder, lines, characters, caplog):
    caplog.set_level("INFO", logger="steploom")
    characters.evaluate(folder / "poems.tsv")
    path, whole = folder / "poems.tsv", "read as text, whole lines as they stand, and not as its ending says"
    assert f"{path}: {whole}; --column reads a column of it" in caplog.messages
    caplog.clear()
    lines.evaluate(path)
    assert whole not in caplog.text


def test_every_20th_line_validates(lines):
    assert lines.report["validation"]["metrics"]["tokens"] == 2 * 6
    assert lines.task.artefacts["text"]["tokens"] == (len(POEMS) - 2) * 6
    assert lines.task.facts()["validation"] == "every 20th line, 2 lines"


def test_files_for_validation_and_test_are_taken(folder, tmp_path):
    model = trained(folder, "prose.txt", tmp_path / "m", valid=folder / "unseen.txt", test=folder / "prose.txt")
    assert model.task.artefacts["text"]["tokens"] == len(PROSE)
    assert model.report["validation"]["metrics"]["tokens"] == 12
    assert model.report["test"]["metrics"]["tokens"] == len(PROSE)
    assert model.task.facts()["validation"] == "the file unseen.txt"


def test_several_files_are_one_text(folder, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    (tmp_path / "a.txt").write_text("no line end")
    files = [tmp_path / "a.txt", folder / "prose.txt"]
    model = train("generate", files, tmp_path / "m", valid_share=0, **SMALL)
    assert model.task.artefacts["text"]["tokens"] == len("no line end\n" + PROSE)
    assert model.report["validation"] == {"metrics": {}, "baselines": {}}
    assert "a vocabulary of 30 characters; validation: none" in caplog.text


def test_a_model_comes_back_from_its_directory(lines, folder):
    again = load(lines.path)
    assert again.evaluate(folder / "poems.tsv").metrics == lines.evaluate(folder / "poems.tsv").metrics
    assert again.predict(num_samples=5).text == lines.predict(num_samples=5).text


def test_a_cell_of_the_users_own(folder, tmp_path, own_cell):
    model = trained(folder, "prose.txt", tmp_path / "m", cell=own_cell, epochs=2, num_layers=2)
    assert model.report["engine"] == "native"
    assert model.predict(max_new_tokens=20).text == load("m", cell=own_cell).predict(max_new_tokens=20).text


@pytest.mark.parametrize("unit", ["words", "bpe"])
def test_other_units_train_and_write(folder, tmp_path, unit):
    size = {"vocabulary_size": 270} if unit == "bpe" else {}
    model = trained(folder, "prose.txt", tmp_path / "m", unit=unit, tie_embeddings=True, **size)
    metrics = model.evaluate(folder / "prose.txt").metrics
    assert metrics["characters"] == len(PROSE)
    assert model.predict(prompt="the quick", max_new_tokens=5).text.startswith("the quick")


@pytest.mark.parametrize("unit", ["words", "bpe"])
def test_lines_of_other_units(folder, tmp_path, unit):
    size = {"vocabulary_size": 270} if unit == "bpe" else {}
    model = trained(folder, "prose.txt", tmp_path / "m", unit=unit, lines=True, valid_every=5, **size)
    assert model.report["validation"]["metrics"]["characters"] > 0
    assert len(model.predict(num_samples=4).value) == 4


def test_the_picture_of_surprise(characters, lines, folder, tmp_path):
    characters.plot(tmp_path / "a.png", folder / "unseen.txt")
    lines.plot(tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG") and (tmp_path / name).stat().st_size > 5000


def test_the_picture_of_lines_that_are_empty_and_of_signs_without_a_shape(tmp_path, caplog):
    (tmp_path / "names.txt").write_text("a\nb\t\x0c\u2028\u200d\n" * 20)
    model = trained(tmp_path, "names.txt", tmp_path / "m", lines=True)
    assert "" in model.predict(num_samples=8).value
    model.plot(tmp_path / "a.png")
    model.plot(tmp_path / "b.png", tmp_path / "names.txt")
    assert (tmp_path / "a.png").stat().st_size > 5000
    assert "no font" not in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"caf\xe9\n", "row 1: byte 0xe9 is not UTF-8"),
        (b"x", "fewer than 2 tokens. Give a longer text"),
    ],
)
def test_a_text_that_cannot_be_used_leaves_nothing(tmp_path, content, message):
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        train("generate", tmp_path / "bad.txt", tmp_path / "m", **SMALL)
    assert not (tmp_path / "m").exists()


def test_residual_connections_and_zoneout_reach_the_layers(folder, tmp_path):
    model = trained(folder, "prose.txt", tmp_path / "m", residual=True, zoneout=0.1)
    assert model.network.recurrent.stack.residual and set(model.network.recurrent.stack.zoneout) == {0.1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "txt"}, "the first row of .* has no 'txt'"),
        ({"unit": "letters"}, "--unit: expected one of characters, words, bpe, found 'letters'"),
        ({"unit": "bpe", "vocabulary_size": 9}, "--vocabulary-size: expected 257 or more"),
        ({"bptt": 0}, "--bptt: expected a whole number of at least 1"),
        ({"bptt": 9, "lines": True}, "--bptt: with --lines or --column each line is read whole. Leave it out"),
        ({"valid_share": 0.2, "column": "1"}, "--valid-share: with --lines or --column .* Give --valid-every"),
        ({"valid_every": 20}, "--valid-every: of a running text .* Give --valid-share, or --lines"),
        ({"bidirectional": True}, "--bidirectional: a language model says which token comes next"),
    ],
)
def test_options_that_do_not_fit_leave_nothing(folder, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        trained(folder, "prose.txt", tmp_path / "m", **options)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("unit", ["words", "bpe"])
def test_a_mark_that_stands_in_a_line_leaves_the_baseline_finite(unit):
    vocabulary = learn_vocabulary(["a <bos> b", "c <eos> d"], unit, lines=True, size=300 if unit == "bpe" else None)
    log_probs = generate_scores.unigram_log_probs([1] * len(vocabulary), vocabulary)
    assert torch.isfinite(log_probs[vocabulary.encode("a <bos> <eos> b")]).all()
