"""The task `tag`, from files in columns to figures."""

import itertools
import json
import random

import pytest
import torch

from steploom.data.labelled.tag_schemes import Span, tags_of
from steploom.errors import DataError, ModelDirectoryError, OptionError
from steploom.tasks.tag.scores import SpanCounts
from steploom.tasks.tag.task import Tag
from steploom.tasks.train import resume, train
from steploom.tasks.trained import load

SMALL = {
    "hidden_size": 10,
    "embedding_size": 8,
    "character_embedding_size": 5,
    "character_hidden_size": 5,
    "dropout": 0.1,
    "lr": 0.02,
    "average": 0.0,
    "epochs": 1,
    "progress": False,
}
NAMES = {"PER": ["Ada", "Grace", "Alan", "Rosa Parks"], "LOC": ["Paris", "Oslo", "New York"]}


def sentences(count, seed=0):
    """Words and spans: who went where."""
    draw = random.Random(seed)
    for _ in range(count):
        words, spans = [], []
        for piece in draw.choice([["PER", "went", "to", "LOC"], ["the", "LOC", "loom"], ["PER", "LOC", "."], ["yes"]]):
            start = len(words)
            words += (draw.choice(NAMES[piece]) if piece in NAMES else piece).split()
            if piece in NAMES:
                spans.append(Span(start, len(words), piece))
        yield words, spans


def columns(count, scheme, seed=0, head=""):
    blocks = []
    for words, spans in sentences(count, seed):
        tags = tags_of(spans, len(words), scheme)
        blocks.append("".join(f"{word} x {tag}\n" for word, tag in zip(words, tags, strict=True)))
    return head + "\n".join(blocks)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("columns")
    for scheme in ("iob1", "iob2", "bioes"):
        (path / f"{scheme}.txt").write_text(columns(120, scheme, head="-DOCSTART- x O\n\n"))
    (path / "test.txt").write_text(columns(30, "iob1", seed=1, head="-DOCSTART- x O\n\n"))
    labels = [[(word, "N" if word[0].isupper() else "V") for word in words] for words, _ in sentences(120)]
    (path / "labels.tsv").write_text(
        "\n".join("".join(f"{i}\t{word}\t{tag}\n" for i, (word, tag) in enumerate(s)) for s in labels)
    )
    return path


def trained(folder, name, out, **options):
    plan = {**SMALL, **options}
    if not plan.get("characters", True):
        plan = {name: value for name, value in plan.items() if not name.startswith("character_")}
    return train("tag", folder / name, out, **plan)


@pytest.fixture(scope="module")
def entities(folder, tmp_path_factory):
    return trained(folder, "iob1.txt", tmp_path_factory.mktemp("m") / "m", epochs=12, test=folder / "test.txt")


@pytest.fixture(scope="module")
def labels(folder, tmp_path_factory):
    options = {"word_column": 2, "epochs": 6, "crf": False}
    return trained(folder, "labels.tsv", tmp_path_factory.mktemp("m") / "m", **options)


@pytest.mark.parametrize(
    ("gold", "found", "counts"),
    [
        # Of each case: spans there, found, right.
        ("I-A I-A O", "I-A I-A O", (1, 1, 1)),
        ("I-A I-A O", "I-A O O", (1, 1, 0)),
        ("I-A B-A O", "I-A I-A O", (2, 1, 0)),
        ("I-A B-A O", "I-A B-A I-A", (2, 2, 1)),
        ("I-A I-B O", "I-A I-A O", (2, 1, 0)),
        ("I-A I-B O", "B-A B-B O", (2, 2, 2)),
        ("O I-A O", "O I-B O", (1, 1, 0)),
        ("O O O", "I-A O I-A", (0, 2, 0)),
        ("B-A I-A I-B", "I-A I-A B-B", (2, 2, 2)),
    ],
)
def test_spans_are_counted_as_conlleval_counts_them(gold, found, counts):
    spans = SpanCounts()
    spans.add(gold.split(), found.split())
    assert (spans.there.total(), spans.found.total(), spans.right.total()) == counts


def test_the_figures_of_spans():
    spans = SpanCounts()
    assert spans.figures() == (0, 0, 0)
    spans.add(["I-A", "O", "I-B", "O", "I-A", "O", "I-A"], ["I-A", "O", "I-A", "O", "I-A", "I-B", "O"])
    assert spans.figures() == pytest.approx((2 / 4, 2 / 4, 1 / 2))
    assert spans.figures("A") == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert spans.figures("B") == (0, 0, 0)


def test_it_learns_who_and_where(entities):
    metrics, usual = (entities.report["test"][part] for part in ("metrics", "baselines"))
    assert metrics["f1"] > 0.95 and metrics["accuracy"] > 0.97
    assert {"f1_per", "f1_loc", "precision", "recall"} <= set(metrics)
    assert metrics["words"] == sum(len(words) for words, _ in sentences(30, 1))
    assert metrics["spans"] == sum(len(spans) for _, spans in sentences(30, 1))
    assert 0 < usual["usual tag"]["f1"] <= 1


def test_the_model_has_bioes_and_its_files_have_iob1(entities):
    facts = entities.task.tags
    assert (facts.scheme, facts.source, len(facts.tags)) == ("bioes", "iob1", 9)
    assert entities.task.facts()["tags"] == "9 (bioes, files in iob1)"
    assert entities.report["engine"] == "native"


def test_each_file_is_scored_in_its_own_scheme(entities, folder):
    figures = [entities.evaluate(folder / f"{scheme}.txt").metrics for scheme in ("iob1", "iob2", "bioes")]
    for name in ("f1", "precision", "recall", "spans", "words", "f1_per"):
        assert len({metrics[name] for metrics in figures}) == 1


def test_the_scores_are_those_of_what_is_written(entities, folder, tmp_path):
    evaluation = entities.evaluate(folder / "test.txt")
    evaluation.write(tmp_path / "out.txt")
    spans, right, count = SpanCounts(), 0, 0
    lines = (tmp_path / "out.txt").read_text().split("\n")
    before = (folder / "test.txt").read_text().split("\n")
    assert lines[0] == "-DOCSTART- x O O"
    assert [line.rpartition(" ")[0] if line else "" for line in lines] == before
    for empty, block in itertools.groupby(lines[2:], lambda line: not line):
        if not empty:
            gold, found = zip(*(line.split()[2:] for line in block), strict=True)
            spans.add(gold, found)
            right += sum(a == b for a, b in zip(gold, found, strict=True))
            count += len(gold)
    metrics = evaluation.metrics
    assert (metrics["precision"], metrics["recall"], metrics["f1"]) == spans.figures()
    assert metrics["accuracy"] == right / count


def test_the_usual_tag_of_each_word(tmp_path):
    (tmp_path / "a.txt").write_text("a O\nb I-X\n\nb I-X\nb O\nc I-Y\n\nc I-Y\nd O\nd O\n")
    (tmp_path / "b.txt").write_text("b I-X\nc O\nnew I-X\na O\n")
    model = trained(tmp_path, "a.txt", tmp_path / "m", valid_every=0)
    # b is X, c is Y, new is O: two spans are there, b and new; found are b and c.
    assert model.task.artefacts["majority"] == {
        "tag": "O",
        "words": {"b": "I-X", "c": "I-Y"},
    }
    usual = model.evaluate(tmp_path / "b.txt").baselines["usual tag"]
    assert (usual["precision"], usual["recall"], usual["accuracy"]) == (0.5, 0.5, 0.5)
    assert usual["accuracy_unknown"] == 0 and usual["f1_x"] == pytest.approx(2 / 3) and usual["f1_y"] == 0


def test_plain_labels(labels, folder):
    metrics = labels.evaluate(folder / "labels.tsv").metrics
    assert metrics["accuracy"] > 0.95
    assert "f1" not in metrics and labels.task.tags.source == "labels"
    text = labels.predict(text="Ada went").text
    assert text == "Ada N\nwent V\n"


def test_a_file_comes_back_with_one_more_column(labels, folder):
    before = (folder / "labels.tsv").read_text().split("\n")
    after = labels.predict(folder / "labels.tsv").text.split("\n")
    assert [line.rpartition("\t")[0] if line else "" for line in after] == before


@pytest.mark.parametrize("kind", ["columns", "words", "lines", "text"])
def test_sentences_come_as_columns_or_plain(entities, tmp_path, kind):
    texts = {"columns": "Ada x\nwent x\nto x\nOslo x\n", "words": "Ada\nwent\nto\nOslo\n"}
    options = {"text": {"text": "Ada went to Oslo"}, "lines": {"lines": True}}.get(kind, {})
    (tmp_path / "a.txt").write_text(texts.get(kind, "Ada went to Oslo\n"))
    prediction = entities.predict(None if kind == "text" else tmp_path / "a.txt", **options)
    assert prediction.value == [[("Ada", "I-PER"), ("went", "O"), ("to", "O"), ("Oslo", "I-LOC")]]
    extra = " x" if kind == "columns" else ""
    assert prediction.text == "".join(f"{word}{extra} {tag}\n" for word, tag in prediction.value[0])
    prediction.write(tmp_path / "a.JSONL")
    row = json.loads((tmp_path / "a.JSONL").read_text())
    assert row["spans"][0] == {"start": 0, "stop": 1, "type": "PER", "words": ["Ada"]}


def test_the_order_of_sentences_does_not_matter(entities, folder):
    together = entities.predict(folder / "test.txt").value
    for words in together[:10]:
        alone = entities.predict(text=" ".join(word for word, _ in words)).value
        assert alone == [words]


def test_without_a_crf_broken_sequences_are_written_whole(entities, monkeypatch):
    """Softmax may give E-PER behind O; what is written keeps to the scheme."""
    broken = [["O", "E-PER", "I-LOC"]]
    monkeypatch.setattr("steploom.tasks.tag.prediction.tag_sentences", lambda *_: broken)
    assert entities.predict(text="a b c").value == [[("a", "O"), ("b", "I-PER"), ("c", "I-LOC")]]


def test_a_model_comes_back_from_its_directory(entities, folder):
    again = load(entities.path)
    assert again.evaluate(folder / "test.txt").metrics == entities.evaluate(folder / "test.txt").metrics
    assert again.predict(folder / "test.txt").text == entities.predict(folder / "test.txt").text


@pytest.mark.parametrize("name", ["vocabulary", "tags", "majority"])
def test_artefacts_are_checked(entities, name):
    with pytest.raises((LookupError, TypeError, ValueError, AttributeError, ModelDirectoryError)):
        entities.task.readers()[name]({"tags": []})


def test_every_tenth_sentence_validates_or_a_file(folder, tmp_path):
    model = trained(folder, "iob2.txt", tmp_path / "a")
    assert model.task.facts()["validation"] == "every 10th sentence, 12 sentences"
    assert model.task.tags.sentences == 108
    model = trained(folder, "iob2.txt", tmp_path / "b", valid=folder / "test.txt")
    assert model.task.facts()["validation"] == "the file test.txt" and model.task.tags.sentences == 120
    model = train("tag", [folder / "iob1.txt", folder / "test.txt"], tmp_path / "c", valid_every=0, **SMALL)
    assert model.report["validation"] == {"metrics": {}, "baselines": {}} and model.task.tags.sentences == 150


def test_pretrained_vectors_begin_the_embedding(folder, tmp_path):
    (tmp_path / "v.txt").write_text("ada 1 2 3\nunseen 4 5 6\nwent 7 8 9\nelsewhere 0 0 0\n")
    (tmp_path / "valid.txt").write_text("Unseen x O\nAda x I-PER\n")
    options = {"vectors": str(tmp_path / "v.txt"), "embedding_size": None, "lr": 1e-12, "schedule": "constant"}
    options["vector_words"] = 2
    model = trained(folder, "iob1.txt", tmp_path / "m", valid=tmp_path / "valid.txt", **options)
    weight, coder = model.network.embedding.weight, model.task.coder
    assert weight.shape[1] == 3 and "elsewhere" not in coder.words
    for word, vector in (("Ada", [1, 2, 3]), ("unseen", [4, 5, 6]), ("went", [7, 8, 9])):
        assert weight[coder.number(word)].tolist() == pytest.approx(vector, abs=1e-6)
    (tmp_path / "v.txt").unlink()
    assert load(tmp_path / "m").predict(text="Ada").text == model.predict(text="Ada").text
    (tmp_path / "w.txt").write_text("none 1 2\n")
    for change, error, message in [
        ({"embedding_size": 3}, OptionError, r"--embedding-size: the vectors in .* have 2 numbers, found 3"),
        ({"embedding_size": None}, DataError, "no vector of any word"),
    ]:
        with pytest.raises(error, match=message):
            trained(folder, "iob1.txt", tmp_path / "n", vectors=str(tmp_path / "w.txt"), **change)


@pytest.mark.parametrize("spelt", [True, False])
def test_vectors_are_found_for_words_as_they_are_written(tmp_path, spelt):
    rows = ["the", "London", "1990", "1990", "1991", "747", "Boeing", "12", "B2"]
    (tmp_path / "train.txt").write_text("".join(f"{word} {'X' if word[0].isupper() else 'O'}\n" for word in rows))
    words = ["Paris", "1990", "1991", "London", "the", "747", "Boeing", "b2", "paris", "a", "Rome", "12", "00", "B1"]
    (tmp_path / "v.txt").write_text("".join(f"{word} {number}\n" for number, word in enumerate(words)))
    options = {"vectors": str(tmp_path / "v.txt"), "embedding_size": None, "lr": 1e-12, "schedule": "constant"}
    options |= {"vector_words": 1, "valid_every": 0, "characters": spelt}
    small = {name: value for name, value in SMALL.items() if spelt or not name.startswith("character")}
    model = train("tag", [tmp_path / "train.txt"], tmp_path / "m", **{**small, **options})
    coder, weight = model.task.coder, model.network.embedding.weight
    # Of the years, which share a normal form, the one that is more frequent; Paris is the first word of the file.
    same = {word: word for word in ("the", "London", "747", "Boeing", "Paris")}
    for word, found in {**same, "1991": "1990", "B2": "b2", "12": "00"}.items():
        assert coder.number(word), word
        assert weight[coder.number(word)].item() == pytest.approx(words.index(found), abs=1e-6), word
    assert coder.number("Rome") == 0 and coder.number("a") == 0


def test_vectors_are_the_same_file_when_a_training_goes_on(folder, tmp_path, monkeypatch):
    (tmp_path / "v.txt").write_text("ada 1 2 3\nwent 7 8 9\n")
    monkeypatch.chdir(tmp_path)
    trained(folder, "iob1.txt", tmp_path / "m", vectors="v.txt", embedding_size=None)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert resume(tmp_path / "m", epochs=2, progress=False).manifest["training"]["epochs"] == 2
    (tmp_path / "v.txt").write_text("ada 1 2 4\nwent 7 8 9\n")
    with pytest.raises(DataError, match="this file has changed since the training began"):
        resume(tmp_path / "m", epochs=3, progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vector_words": 5}, "--vector-words is for --vectors FILE"),
        ({"characters": False, "character_hidden_size": 7}, "--character-hidden-size is for --characters"),
    ],
)
def test_options_that_would_do_nothing(folder, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        train("tag", folder / "iob1.txt", tmp_path / "m", **options)


def test_right_and_found_tags_are_the_last_columns_wherever_the_right_ones_stand(tmp_path):
    blocks = columns(40, "iob1").split("\n\n")
    rows = [[line.split() for line in block.splitlines()] for block in blocks]
    text = "\n\n".join("\n".join(f"{word} {tag} {other}" for word, other, tag in block) for block in rows) + "\n"
    (tmp_path / "middle.txt").write_text(text)
    model = train("tag", tmp_path / "middle.txt", tmp_path / "m", target_column=2, **SMALL)
    model.evaluate(tmp_path / "middle.txt").write(tmp_path / "out.txt")
    for line, written in zip(text.splitlines(), (tmp_path / "out.txt").read_text().splitlines(), strict=True):
        cells = written.split(" ")
        assert " ".join(cells[:3]) == line
        assert not line or (len(cells) == 5 and cells[3] == cells[1])


def test_types_that_differ_in_case_alone_keep_their_letters(tmp_path):
    (tmp_path / "two.txt").write_text("Ada B-PER\nBob B-Per\n\n" * 30)
    found = train("tag", tmp_path / "two.txt", tmp_path / "m", **SMALL).evaluate(tmp_path / "two.txt").metrics
    assert {"f1_PER", "f1_Per"} <= set(found)


def test_a_cell_of_the_users_own(folder, tmp_path, own_cell):
    model = trained(folder, "iob1.txt", tmp_path / "m", cell=own_cell, num_layers=2)
    assert model.report["engine"] == "native"
    assert type(model.network.spelling.cell).__name__ == "Minimal"
    assert load("m", cell=own_cell).predict(text="Ada").text == model.predict(text="Ada").text


@pytest.mark.parametrize(
    "options",
    [
        {"characters": False},
        {"bidirectional": False, "num_layers": 2, "residual": True},
        {"scheme": "iob2", "constrain_training": True},
        {"scheme": "labels"},
        {"crf": False, "variational": True, "zoneout": 0.1},
    ],
)
def test_other_shapes_train_and_tag(folder, tmp_path, options):
    model = trained(folder, "iob1.txt", tmp_path / "m", **options)
    assert len(model.predict(text="Ada went").value[0]) == 2
    assert model.task.options.in_lower_case == options.get("characters", True)


def test_training_longer_is_training_on(folder, tmp_path):
    plan = {"schedule": "constant", "dropout": 0.3, "average": 0.9}
    whole = trained(folder, "iob1.txt", tmp_path / "whole", epochs=3, **plan)
    trained(folder, "iob1.txt", tmp_path / "parts", epochs=1, **plan)
    parts = resume(tmp_path / "parts", epochs=3, progress=False)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, parts.network.state_dict()[name])


def test_the_curves_keep_nats_and_shares_apart(entities):
    from steploom.training.record import panels

    rows = [json.loads(row) for row in (entities.path / "metrics.jsonl").read_text().splitlines()]
    drawn = {name: list(parts) for name, parts in panels(rows).items()}
    assert drawn == {"loss": ["train"], "tags_expected_wrong": ["valid"]}
    assert all(row["valid_tags_expected_wrong"] == row["valid_loss"] <= 1 for row in rows)


def test_the_pictures(entities, labels, folder, tmp_path):
    entities.plot(tmp_path / "a.png")
    entities.plot(tmp_path / "b.png", folder / "test.txt")
    labels.plot(tmp_path / "c.png", folder / "labels.tsv")
    for name in "abc":
        content = (tmp_path / f"{name}.png").read_bytes()
        assert content.startswith(b"\x89PNG") and len(content) > 8000
    with pytest.raises(OptionError, match="without a CRF"):
        labels.plot(tmp_path / "d.png")


BAD = {
    "empty": ("", DataError, "bad.txt: the file is empty"),
    "ragged": ("a O\nb\n", DataError, "bad.txt, row 2: expected 2 columns as in row 1, found 1"),
    "no tags": ("a\nb\n", DataError, r"bad.txt, row 1: expected a word and its tag, found one column \('a'\)"),
    "broken": (
        "a B-X\nb O\n\nc O\nd I-X\ne B-X\n",
        DataError,
        "bad.txt, row 5: a broken sequence of tags: I-X stands behind O, which IOB2 does not allow. Correct it, "
        "or give --repair-tags",
    ),
    "broken BIOES": ("a S-X\nb B-X\nc O\n", DataError, "row 3: .* O stands behind B-X, which BIOES does not allow"),
    "no tag": ("a B-X\nb O\n" * 9 + "c N_P\n", DataError, "row 19: expected O or a tag such as B-PER, found 'N_P'"),
    "one tag": ("a O\nb O\n", DataError, "every tag in the training data is 'O'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_leave_nothing(tmp_path, case):
    text, error, message = BAD[case]
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(error, match=message):
        trained(tmp_path, "bad.txt", tmp_path / "m", valid_every=0)
    assert not (tmp_path / "m").exists()


def test_broken_sequences_are_read_when_asked_for(tmp_path):
    (tmp_path / "bad.txt").write_text("\n".join([BAD["broken"][0]] * 3))
    model = trained(tmp_path, "bad.txt", tmp_path / "m", valid_every=0, repair_tags=True)
    with pytest.raises(DataError, match="a broken sequence of tags"):
        model.evaluate(tmp_path / "bad.txt")
    assert model.evaluate(tmp_path / "bad.txt", repair_tags=True).metrics["spans"] == 9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((("I-", "L-"), ("B-LOC", "U-LOC")), True),
        ((("-", "_"),), True),
        ((("B-", "b-"), ("I-", "i-"), ("O", "o")), True),
        ((("B-", "N"), ("I-", "N")), False),
        ((("B-", "B-x-"), ("O", "RB-x")), False),
    ],
)
def test_spans_in_an_unknown_scheme_are_labels_and_that_is_said(tmp_path, caplog, change, said):
    caplog.set_level("INFO", logger="steploom")
    tags = "B-PER I-PER O B-LOC\nB-PER O B-LOC O".replace("\n", "  ")
    for old, new in change:
        tags = tags.replace(old, new)
    lines = [f"w{n} {tag}" if tag else "" for n, tag in enumerate(tags.split(" "))]
    (tmp_path / "a.txt").write_text("\n".join(lines * 3))
    Tag.prepare(Tag.TrainOptions(), [tmp_path / "a.txt"])
    assert ("of BILOU, write L as E and U as S" in caplog.text) == said


def test_sentences_that_look_like_columns_are_said(entities, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    # Of one line, or of lines of equally many words, no row tells that they are no columns.
    (tmp_path / "a.txt").write_text("Ada went to Oslo\n")
    assert [len(words) for words in entities.predict(tmp_path / "a.txt").value] == [1]
    said = "a.txt: 1 word in 1 sentence, read from column 1 of 4, a word a line. For plain sentences, one a line, give"
    assert f"{said} --lines" in caplog.text
    caplog.clear()
    assert [len(words) for words in entities.predict(tmp_path / "a.txt", lines=True).value] == [4]
    (tmp_path / "b.txt").write_text("Ada\nwent\n")
    entities.predict(tmp_path / "b.txt")
    (tmp_path / "c.txt").write_text("Ada\tx\nwent\ty\n")
    entities.predict(tmp_path / "c.txt")
    assert "column" not in caplog.text


def test_repaired_tags_are_scored_as_they_were_read(entities, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    (tmp_path / "a.txt").write_text("\n".join(["Alan x B-PER\nParks x I-PER\n\nyes x O\nOslo x I-LOC\n"] * 10))
    model = load(entities.path)
    model.task.artefacts["majority"] = {"tag": "O", "words": {"Alan": "B-PER", "Parks": "I-PER", "Oslo": "B-LOC"}}
    scores = model.evaluate(tmp_path / "a.txt", repair_tags=True)
    assert scores.baselines["usual tag"]["f1"] == scores.baselines["usual tag"]["accuracy"] == 1
    assert "a.txt: the tags of 10 sentences break IOB2, the first in row 5; they are read as conlleval" in caplog.text


def test_one_unseen_tag_takes_no_mark_from_the_others(entities, labels, tmp_path):
    from steploom.data.labelled.conll import read_columns
    from steploom.tasks.tag.marks import marked_spans, matching_gold

    (tmp_path / "a.txt").write_text("1\tAda\tN\n2\twent\tRP\n3\tto\tN\n4\tOslo\tN\n")
    (gold,) = matching_gold(labels.task, read_columns(tmp_path / "a.txt", 2))
    assert [mark for _, mark in marked_spans(labels.task.tags, "NVVN", gold)] == ["", "unseen", "wrong", ""]
    rows = [
        "Ada x B-PER",
        "went x O",
        "Inc x B-ORG",
        "loom x UH",
        "Rosa x B-PER",
        "Parks x I-PER",
        "to x O",
        "Co x B-ORG",
    ]
    (tmp_path / "b.txt").write_text("\n".join(rows))
    (gold,) = matching_gold(entities.task, read_columns(tmp_path / "b.txt", 1))
    found = ["B-PER", "O", "B-LOC", "O", "B-PER", "O", "B-LOC", "O"]
    assert marked_spans(entities.task.tags, found, gold) == [
        (Span(0, 1, "PER"), ""),
        (Span(2, 3, "LOC"), "unseen"),
        (Span(3, 4, ""), "unseen"),
        (Span(4, 5, "PER"), "wrong"),
        (Span(6, 7, "LOC"), "wrong"),
        (Span(7, 8, ""), "unseen"),
    ]
    (tmp_path / "c.txt").write_text("Ada x NNP\nwent x VBD\nOslo x O\n")
    assert matching_gold(entities.task, read_columns(tmp_path / "c.txt", 1)) is None, "these are other tags altogether"


@pytest.mark.parametrize("part", ["valid", "test", "evaluate"])
def test_tags_that_the_training_lacks(entities, folder, tmp_path, part):
    (tmp_path / "new.txt").write_text("Ada x I-PER\nloom x I-TOOL\n\nOslo x I-LOC\n")
    message = r"new\.txt, row 2: the tag 'I-TOOL' does not occur in the training data\. Correct it, or give --allow"
    if part == "evaluate":
        with pytest.raises(DataError, match=message):
            entities.evaluate(tmp_path / "new.txt")
        metrics = entities.evaluate(tmp_path / "new.txt", allow_unseen_tags=True).metrics
        assert metrics["f1_tool"] == 0 and metrics["spans"] == 3
        return
    with pytest.raises(DataError, match=message):
        trained(folder, "iob1.txt", tmp_path / "m", **{part: tmp_path / "new.txt"})
    assert not (tmp_path / "m").exists()
    trained(folder, "iob1.txt", tmp_path / "m", **{part: tmp_path / "new.txt"}, allow_unseen_tags=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_column": 4}, r"--target-column: .*iob1.txt has the columns 1 to 3, found 4"),
        ({"word_column": 9}, r"--word-column: .*iob1.txt has the columns 1 to 3, found 9"),
        ({"target_column": 1}, "--target-column and --word-column are both 1"),
        ({"word_column": 3}, "--word-column 3: this is the last column"),
        ({"scheme": "bioes", "target_column": 2}, "--scheme bioes: the tags in .* write no spans.* found 'x'"),
        ({"scheme": "bieso"}, "--scheme: expected one of auto, bioes"),
        ({"crf": False, "constrain_training": True}, "--constrain-training is for a CRF"),
    ],
)
def test_options_that_do_not_fit_leave_nothing(folder, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        trained(folder, "iob1.txt", tmp_path / "m", **options)
    assert not (tmp_path / "m").exists()
