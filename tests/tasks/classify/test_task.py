"""The task `classify` on texts, from files to figures."""

import csv
import json
import math
import os
import sys
from io import BytesIO, StringIO, TextIOWrapper
from itertools import pairwise

import pytest
import torch

from steploom.data.labelled.examples import LabelledBatches
from steploom.errors import DataError, ModelDirectoryError, OptionError
from steploom.tasks.classify.data import class_weights
from steploom.tasks.classify.plot import attended_tokens, confusion_figure
from steploom.tasks.classify.scores import figures
from steploom.tasks.classify.task import Classify
from steploom.tasks.train import resume, train
from steploom.tasks.trained import load
from tests.docs.files import write_labelled

SMALL = {"hidden_size": 16, "dropout": 0.0, "lr": 0.02, "epochs": 3, "progress": False}
TREES = [
    "(3 (2 A) (4 good))",
    "(1 (2 A) (0 bad))",
    "(2 (2 A) (2 film))",
    "(4 (4 good) (2 film))",
    "(0 (0 bad) (2 film))",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts")
    write_labelled(path)
    (path / "new.csv").write_text('label,text\nbad,A dull film!\ngood,"A moving film, and all."\nbad,So awful\n')
    (path / "trees.txt").write_text("\n".join(TREES * 8) + "\n")
    return path


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    return train(
        "classify",
        folder / "reviews.csv",
        tmp_path_factory.mktemp("m") / "model",
        **SMALL | {"epochs": 6, "batch_size": 16},
    )


def piped(text):
    """What a shell hands over."""
    return TextIOWrapper(BytesIO(text.encode()))


def by_hand(model, text):
    """Probabilities of one text, alone."""
    tokens = torch.tensor(model.task.kind.vocabulary.encode(text))[:, None]
    return model.network.probabilities({"tokens": tokens})[0].tolist()


def test_it_learns_and_says_so(model, folder):
    found = model.report["validation"]
    assert found["metrics"]["accuracy"] > 0.9 > found["baselines"]["majority"]["accuracy"]
    assert found["metrics"]["examples"] == 30 and model.report["engine"] == "native"
    assert model.task.facts()["classes"] == "bad (90), good (180)"
    assert model.task.facts()["validation"] == "10% of the examples of each label, 30 of them"


def test_predictions_are_those_of_each_text_alone(model, folder, tmp_path):
    found = model.predict(folder / "new.csv")
    assert [row["row"] for row in found.value] == [2, 3, 4]
    assert [row["label"] for row in found.value] == ["bad", "good", "bad"]
    for row, text in zip(found.value, ["A dull film !", "A moving film , and all .", "So awful"], strict=True):
        assert list(row["probabilities"].values()) == pytest.approx(by_hand(model, text), abs=1e-6)
    read = list(csv.DictReader(StringIO(found.text)))
    assert (
        list(read[0]) == ["row", "text", "label", "p(bad)", "p(good)"] and read[1]["text"] == "A moving film, and all."
    )
    found.write(tmp_path / "p.jsonl")
    assert [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()] == found.value
    found.write(tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text() == found.text


def test_blank_lines_between_texts_are_said(model, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", logger="steploom")
    (tmp_path / "a.txt").write_text("A dull film!\n\n \nSo awful\n\n")
    assert [row["row"] for row in model.predict(tmp_path / "a.txt").value] == [1, 4]
    assert "a.txt: 2 blank lines are no texts and have no rows; 'row' is the number of a text's line" in caplog.text
    caplog.clear()
    monkeypatch.setattr(sys, "stdin", piped("A dull film!\n\nSo awful\n"))
    assert [row["row"] for row in model.predict().value] == [1, 3]
    assert "standard input: 1 blank line is no text and has no row" in caplog.text
    caplog.clear()
    monkeypatch.setattr(sys, "stdin", piped("A dull film!\nSo awful\n\n"))
    assert len(model.predict().value) == 2 and "blank" not in caplog.text


def test_the_first_row_of_a_single_column_is_said_to_be_a_text(model, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    (tmp_path / "a.csv").write_text("Opinion\nA dull film!\nSo awful\n")
    assert [row["text"] for row in model.predict(tmp_path / "a.csv").value] == ["Opinion", "A dull film!", "So awful"]
    said = "a.csv: one column, whose first row, 'Opinion', is read as a text; a header would be 'text', as in training"
    assert said in caplog.text
    caplog.clear()
    (tmp_path / "a.csv").write_text("text\nA dull film!\nSo awful\n")
    assert [row["row"] for row in model.predict(tmp_path / "a.csv").value] == [2, 3] and "header" not in caplog.text


def test_texts_come_from_a_file_without_labels_an_option_or_standard_input(model, folder, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("A dull film!\n\nSo awful\n")
    plain = model.predict(tmp_path / "a.txt").value
    assert [row["row"] for row in plain] == [1, 3] and plain[0]["text"] == "A dull film!"
    given = model.predict(input="A dull film!").value
    monkeypatch.setattr(sys, "stdin", piped("\ufeffA dull film!\r\n\r\nSo awful\r\n"))
    typed = model.predict().value
    for rows in (given, typed):
        assert rows[0]["probabilities"] == pytest.approx(plain[0]["probabilities"], abs=1e-6)
    # A byte order mark and Windows line ends are no part of a text, as in a file.
    assert [row["text"] for row in typed] == [row["text"] for row in plain]
    assert len(typed) == 2 and typed[1]["row"] == 3
    monkeypatch.setattr(sys, "stdin", piped(" \n"))
    with pytest.raises(DataError, match="standard input is empty: name a file, or give a text with --input"):
        model.predict()
    with pytest.raises(DataError, match="--input: the text is empty"):
        model.predict(input=" ")
    with pytest.raises(OptionError, match=r"the examples come from .* already"):
        model.predict(tmp_path / "a.txt", input="x")


def test_figures_are_those_of_the_confusion_matrix(model, folder, tmp_path):
    from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

    scores = model.evaluate(folder / "new.csv")
    rows = model.predict(folder / "new.csv").value
    true = ["bad", "good", "bad"]
    nll = -sum(math.log(row["probabilities"][label]) for row, label in zip(rows, true, strict=True)) / 3
    assert scores.metrics["nll"] == pytest.approx(nll, rel=1e-5) and scores.metrics["examples"] == 3
    majority = scores.baselines["majority"]
    assert majority["accuracy"] == 1 / 3, "a share of whole numbers is exact"
    assert majority["accuracy"] == pytest.approx(1 / 3) and majority["f1"] == pytest.approx(0.25)
    assert majority["nll"] == pytest.approx(-(2 * math.log(1 / 3) + math.log(2 / 3)) / 3)
    scores.write(tmp_path / "p.csv")
    assert [row["true"] for row in csv.DictReader(StringIO((tmp_path / "p.csv").read_text()))] == true
    named, given = torch.randint(0, 4, (2, 200), generator=torch.Generator().manual_seed(0))
    matrix = torch.zeros(5, 5, dtype=torch.long)
    for a, b in zip(named.tolist(), given.tolist(), strict=True):
        matrix[a, b] += 1
    found = figures(matrix.diagonal(), matrix.sum(1), matrix.sum(0))
    assert found["accuracy"] == pytest.approx(float(multiclass_accuracy(given, named, 4, average="micro")))
    assert found["f1"] == pytest.approx(float(multiclass_f1_score(given, named, 4, average="macro")))


def test_a_model_comes_back_from_its_directory(model, folder):
    again = load(model.path)
    assert again.evaluate(folder / "new.csv").metrics == model.evaluate(folder / "new.csv").metrics
    assert again.predict(folder / "new.csv").text == model.predict(folder / "new.csv").text


def test_the_picture(model, folder, tmp_path):
    model.plot(tmp_path / "a.png")
    model.plot(tmp_path / "b.png", folder / "new.csv")
    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "b.png").stat().st_size > (tmp_path / "a.png").stat().st_size + 5000, (
        "the weights of words are lacking"
    )


@pytest.mark.parametrize("classes", [2, 4, 5, 19, 21, 60, 130, 200])
@pytest.mark.parametrize("name", ["{}", "category {}", "a label with a long name {}"])
def test_no_label_of_the_matrix_lies_over_another_one(classes, name):
    names = [name.format(n) for n in range(classes)]
    figure = confusion_figure(torch.eye(classes, dtype=torch.long), names, "a.csv")
    figure.canvas.draw()
    axes = figure.axes[0]
    across, down = axes.get_xticklabels(), axes.get_yticklabels()
    assert len(across) == len(down) >= min(classes, 50)
    boxes = [label.get_window_extent() for label in across]
    for one, other in pairwise(boxes):
        if across[0].get_rotation() == 45:
            # Across the slant.
            assert (other.x1 - one.x1) * 0.707 > across[0].get_fontsize() * figure.dpi / 72
        else:
            assert other.x0 > one.x1
    for one, other in pairwise([label.get_window_extent() for label in down]):
        assert one.y0 > other.y1


def test_the_attention_is_asked_on_the_device_of_the_model(model, folder, monkeypatch):
    again = load(model.path)
    examples, devices = again.task.read([folder / "new.csv"], True), []

    def attention(batch):
        devices.append({tensor.device.type for tensor in batch.values()})
        return torch.full((len(batch["tokens"]), 1), 0.5)

    # The one device beside the processor that every machine has.
    again.network.to("meta")
    monkeypatch.setattr(again.network, "attention", attention)
    attended = attended_tokens(again.task, again.network, examples, torch.eye(3, 2))
    assert len(attended) == 3 and devices == [{"meta"}] * 3


def test_many_classes_are_learnt_and_not_drawn(tmp_path):
    rows = "".join(f"text {number % 250}\tclass {number % 250}\n" for number in range(750))
    (tmp_path / "many.tsv").write_text("text\tlabel\n" + rows)
    model = train("classify", tmp_path / "many.tsv", tmp_path / "m", **SMALL | {"epochs": 1})
    assert model.evaluate(tmp_path / "many.tsv").metrics["examples"] == 750
    assert "confusion" not in model.task.artefacts["labels"]
    for data in (None, tmp_path / "many.tsv"):
        with pytest.raises(DataError, match="250 classes are too many for a confusion matrix"):
            model.plot(tmp_path / "a.png", data)


def test_a_column_that_holds_no_labels_is_refused(tmp_path):
    rows = "".join(f"{number % 2},a text,{number}\n" for number in range(120))
    (tmp_path / "a.csv").write_text("label,text,id\n" + rows)
    with pytest.raises(DataError, match=r"120 different labels for 120 examples .*Were they meant.* with --label"):
        train("classify", tmp_path / "a.csv", tmp_path / "m", label="id", valid_share=0, **SMALL)
    assert not (tmp_path / "m").exists()


def test_a_file_a_label(folder, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    rows = list(csv.DictReader(StringIO((folder / "reviews.csv").read_text())))
    for label in ("good", "bad"):
        (tmp_path / f"{label}.txt").write_text("".join(row["text"] + "\n" for row in rows if row["label"] == label))
    files, options = (
        [tmp_path / "bad.txt", tmp_path / "good.txt"],
        SMALL | {"epochs": 1, "file_labels": ["awful", "fine"]},
    )
    model = train("classify", files, tmp_path / "m", test=files, **options)
    assert model.task.classes == ("awful", "fine") and model.report["test"]["metrics"]["examples"] == 300
    caplog.clear()
    assert model.evaluate(files).metrics["examples"] == 300
    assert f"labels: {files[0]} has awful, {files[1]} has fine" in caplog.messages
    right, swapped = (model.evaluate(order).metrics["accuracy"] for order in (files, files[::-1]))
    assert right == pytest.approx(1 - swapped), "the order of the files says which label each has"
    assert f"labels: {files[1]} has awful, {files[0]} has fine" in caplog.messages
    model.plot(tmp_path / "both.png", files)
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OptionError, match=r"--file-labels: 2 labels for 1 file"):
        model.evaluate(files[0])
    assert len(model.predict(files[0]).value) == 100
    table = tmp_path / "new.csv"
    table.write_text("label,text\nfine,good\nawful,bad\n")
    assert model.evaluate(table).metrics["examples"] == 2 and model.evaluate([*files, table]).metrics["examples"] == 302
    for train_on in (table, [files[0], table]):
        with pytest.raises(OptionError, match=r"--file-labels: .*new\.csv is a table, whose rows have labels"):
            train("classify", train_on, tmp_path / "n", **options)
    with pytest.raises(OptionError, match="--text: with --file-labels a line is a text"):
        train("classify", files, tmp_path / "n", text="1", **options)
    assert not (tmp_path / "n").exists()


def test_parts_are_set_aside_by_seed(folder, tmp_path):
    model = train("classify", folder / "reviews.csv", tmp_path / "m", test_share=0.2, **SMALL | {"epochs": 1})
    assert model.report["test"]["metrics"]["examples"] == 60
    assert model.report["validation"]["metrics"]["examples"] == 30
    assert model.task.facts()["validation"] == "10% of the examples of each label, 30 of them"
    assert model.task.artefacts["labels"]["counts"] == [70, 140]
    none = train("classify", folder / "reviews.csv", tmp_path / "n", valid_share=0, **SMALL | {"epochs": 1})
    assert none.report["validation"]["metrics"] == {}
    with pytest.raises(DataError, match="the model had no validation part to be drawn"):
        none.plot(tmp_path / "a.png")


def test_parts_are_set_aside_by_the_new_labels(folder, tmp_path):
    names = {"0": "bad", "1": "bad", "2": "", "3": "good", "4": "good"}
    options = {"kind": "text", "relabel": names, "valid_share": 0.25, **SMALL, "epochs": 1}
    found = train("classify", folder / "trees.txt", tmp_path / "m", **options).task.artefacts["labels"]
    # 16 sentences of each new label; the 8 of label 2 are scored nowhere.
    assert found["validation"] == "25% of the examples of each label, 8 of them"
    assert found["counts"] == [12, 12]


def test_trees_are_sentences_and_their_phrases_examples(folder, tmp_path):
    names = {"0": "bad", "1": "bad", "2": "", "3": "good", "4": "good"}
    common = {"kind": "text", "relabel": names, "valid": folder / "trees.txt", **SMALL, "epochs": 1, "pooling": "max"}
    plain = train("classify", folder / "trees.txt", tmp_path / "m", **common)
    assert plain.task.artefacts["labels"]["counts"] == [16, 16]
    assert plain.report["validation"]["metrics"]["examples"] == 32
    rich = train("classify", folder / "trees.txt", tmp_path / "n", phrases=True, **common)
    # A class weighs by what is trained on, and the baseline names the label that sentences have most often.
    names = names | {"2": "good"}
    even = train("classify", folder / "trees.txt", tmp_path / "p", phrases=True, **common | {"relabel": names})
    assert even.task.artefacts["labels"]["counts"] == [16, 24]
    assert even.task.artefacts["labels"]["trained"] == [8 * 4, 8 * 11]
    assert even.report["validation"]["baselines"]["majority"]["nll"] == pytest.approx(
        -0.4 * math.log(0.4) - 0.6 * math.log(0.6)
    )
    assert "trained" not in plain.task.artefacts["labels"]
    assert rich.task.artefacts["labels"]["trained"] == [8 * 4, 8 * 4]
    assert rich.report["validation"]["metrics"]["examples"] == 32
    with pytest.raises(OptionError, match=r"--phrases: .* holds no trees"):
        train("classify", folder / "reviews.csv", tmp_path / "o", phrases=True, **SMALL)
    with pytest.raises(OptionError, match="--label: trees have no columns"):
        train("classify", folder / "trees.txt", tmp_path / "o", kind="text", label="2", **SMALL)
    with pytest.raises(OptionError, match="--nodes: this model reads texts, which have none"):
        plain.predict(input="A good film", nodes=True)


@pytest.mark.parametrize("unit", ["characters", "bpe"])
def test_other_units(folder, tmp_path, unit):
    size = {"vocabulary_size": 270} if unit == "bpe" else {"max_length": 20}
    model = train("classify", folder / "reviews.csv", tmp_path / "m", unit=unit, **SMALL | {"epochs": 1}, **size)
    assert len(model.predict(folder / "new.csv").value) == 3
    model.plot(tmp_path / "a.png", folder / "new.csv")


def test_words_that_training_lacks_are_read(model):
    assert by_hand(model, "zzz") == by_hand(model, "<unk>")
    assert model.predict(input="zzz yyy").value[0]["label"] in ("good", "bad")


def test_case_and_punctuation_follow_the_options(folder, tmp_path):
    model = train(
        "classify",
        folder / "reviews.csv",
        tmp_path / "m",
        lower_case=True,
        split_punctuation=False,
        **SMALL | {"epochs": 1},
    )
    tokens = model.task.kind.vocabulary.tokens
    assert "all." in tokens and "A" not in tokens and "a" in tokens
    assert model.task.kind.pieces(model.task.kind.from_lines(["A Film, all."]), 0) == ["a", "film,", "all."]


def test_class_weights(folder, tmp_path):
    labels = {"classes": ["bad", "good"], "counts": [90, 180]}

    def weights(*given):
        found = class_weights(Classify.TrainOptions.checked({"class_weights": given}), labels)
        return None if found is None else found.tolist()

    assert weights() is None and weights("none") is None
    assert weights("balanced") == pytest.approx([270 / 2 / 90, 270 / 2 / 180])
    labels["trained"] = [300, 100]
    assert weights("balanced") == pytest.approx([400 / 2 / 300, 400 / 2 / 100])
    assert weights("bad=3") == [3.0, 1.0]
    train("classify", folder / "reviews.csv", tmp_path / "m", class_weights={"bad": 3}, **SMALL | {"epochs": 1})
    assert load(tmp_path / "m").network.class_weights.tolist() == [3.0, 1.0]


def test_a_cell_of_the_users_own(folder, tmp_path, own_cell):
    cell, options = own_cell, SMALL | {"epochs": 1, "num_layers": 2, "bidirectional": True}
    model = train("classify", folder / "reviews.csv", tmp_path / "m", cell=cell, **options)
    assert model.report["engine"] == "native"
    assert model.predict(input="fine").text == load("m", cell=cell).predict(input="fine").text


class Killed(Exception):
    pass


@pytest.mark.parametrize("dies_at", [5, 12])
def test_killed_and_resumed_to_the_same_bits(folder, tmp_path, monkeypatch, dies_at):
    plan = SMALL | {"epochs": 2, "dropout": 0.3, "word_dropout": 0.2, "checkpoint_steps": 2, "batch_size": 32}
    whole = train("classify", folder / "reviews.csv", tmp_path / "whole", **plan)
    made, batch = [], LabelledBatches.batch

    def dying(self, *args, **kwargs):
        made.append(args)
        if len(made) == dies_at:
            raise Killed
        return batch(self, *args, **kwargs)

    monkeypatch.setattr(LabelledBatches, "batch", dying)
    with pytest.raises(Killed):
        train("classify", folder / "reviews.csv", tmp_path / "killed", **plan)
    monkeypatch.undo()
    resumed = resume(tmp_path / "killed", progress=False)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    assert resumed.report["validation"] == whole.report["validation"]
    assert resumed.task.artefacts == whole.task.artefacts


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels", {"classes": ["good"], "counts": [1], "validation": ""}, "two different labels or more"),
        ("labels", {"classes": ["a", "b"], "counts": [1], "validation": ""}, "a whole number for each class"),
        (
            "labels",
            {"classes": ["a", "b"], "counts": [1, 1], "validation": "", "confusion": [[1]]},
            "a row and a column",
        ),
        (
            "labels",
            {"classes": ["a", "b"], "counts": [1, 1], "validation": "", "trained": [1]},
            "'trained' should be a whole number",
        ),
        (
            "labels",
            {"classes": ["a", "b"], "counts": [1, 1], "validation": "", "confusion": {}},
            "'confusion' should be a list",
        ),
        (
            "labels",
            {"classes": ["a", "b"], "counts": [1, 1], "validation": "", "confusion": [[1, 0], [0, 10**30]]},
            "'confusion' should hold",
        ),
        ("inputs", {"kind": "text", "columns": {"text": "x", "label": None, "header": True}}, "'label' should be text"),
        (
            "inputs",
            {"kind": "text", "columns": {"text": "x", "label": "2", "header": False}},
            "'text' and 'label' should be numbers",
        ),
        ("inputs", {"kind": "trains"}, "there is no kind of data 'trains'"),
        ("inputs", [], "list indices must be"),
        ("inputs", {"kind": "text", "columns": {"text": 1, "label": "y", "header": True}}, "'text' should be text"),
        ("vocabulary", {"unit": "words", "tokens": ["a"]}, "no vocabulary"),
    ],
)
def test_a_changed_model_is_one_message(model, tmp_path, name, content, message):
    import hashlib
    import shutil

    copy = tmp_path / "m"
    shutil.copytree(model.path, copy)
    manifest = json.loads((copy / "model.json").read_text())
    (copy / f"{name}.json").write_text(json.dumps(content))
    written = (copy / f"{name}.json").read_bytes()
    manifest["files"][f"{name}.json"] = {"bytes": len(written), "sha256": hashlib.sha256(written).hexdigest()}
    (copy / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelDirectoryError, match=rf"{name}\.json: .*{message}"):
        load(copy)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes in folders")
def test_a_pipe_is_refused_before_it_is_read(model, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for use in (model.predict, model.evaluate):
        with pytest.raises(DataError, match="pipe: this is a pipe or a device"):
            use(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"relabel": "good"}, "--relabel: expected OLD=NEW, found 'good'"),
        ({"relabel": "god=x"}, "--relabel: there is no label 'god'; there are bad, good. Did you mean 'good'"),
        ({"class_weights": "god=2"}, "--class-weights: there is no label 'god'.*Did you mean 'good'"),
        ({"class_weights": ["bad=0", "good=0"]}, "one class at least must have a weight above 0"),
        ({"class_weights": "heavy"}, "--class-weights: expected balanced, none, or NAME=WEIGHT, found 'heavy'"),
        ({"text": "txt"}, "--text: the first row of .* has no 'txt'.*Did you mean 'text'"),
        ({"pooling": "first"}, "--pooling: expected one of last, mean, max, attention, found 'first'"),
        ({"unit": "bpe", "vocabulary_size": 9}, "--vocabulary-size: expected 257 or more"),
        ({"steps": "pixels"}, "--steps: it is for arrays, and these are texts. Leave it out"),
        ({"tree_network": "nary"}, "--tree-network: texts are read by no tree network"),
        ({"tree_network": "recursive"}, "--tree-network: texts are read by no tree network"),
        ({"kind": "vectors"}, "the file cannot be read"),
        ({"unit": "characters", "split_punctuation": False}, "--split-punctuation: it is for --unit words, and"),
        ({"valid": "reviews.csv", "valid_share": 0.2}, "--valid-share: there is a --valid. Leave it out"),
        ({"test": "reviews.csv", "test_share": 0.2}, "--test-share: there is a --test. Leave it out"),
        ({"valid_share": 0.5, "test_share": 0.5}, "--valid-share 0.5 and --test-share 0.5 leave nothing to train on"),
    ],
)
def test_options_that_do_not_fit_leave_nothing(folder, tmp_path, options, message):
    options = {name: folder / value if name in ("valid", "test") else value for name, value in options.items()}
    with pytest.raises((OptionError, DataError), match=message):
        train("classify", folder / "reviews.csv", tmp_path / "m", **SMALL, **options)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\nfine,good\nlovely,good\n", "the training data have one label only, 'good'"),
        (
            "a.tsv",
            "so dull\tbad\nfine\tgood\nlovely\tgood\ngrand\tgood\n",
            r"one label only, 'good'\. Row 1 \('so dull', 'bad'\) was read as the header.* --text 1 --label 2",
        ),
        ("a.csv", "\nbad,dull\ngood,fine\ngood,grand\n", r"Row 2 \('bad', 'dull'\) .* --text 2 --label 1"),
        ("a.csv", "review,kind\nfine,good\nlovely,good\n", r"Row 1 \('review', 'kind'\) was read as the header"),
        ("a.csv", "text,label\nfine,good\nlovely,good\n", "one label only, 'good'. Give examples of two labels"),
        ("a.txt", "a text\nanother\n", "expected a table .* name the labels with --file-labels"),
        ("a.csv", "", "the file is empty"),
    ],
)
def test_data_that_cannot_be_used_leave_nothing(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        train("classify", tmp_path / name, tmp_path / "m", **SMALL)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("rows", ["ababab", "abab" + "c" * 30])
def test_shares_that_leave_a_label_no_example_are_named(tmp_path, rows):
    text = "text,label\n" + "".join(f"t{number},{label}\n" for number, label in enumerate(rows * 2))
    (tmp_path / "a.csv").write_text(text)
    options = {"test_share": 0.5, "valid_share": 0.49}
    message = r"--test-share 0\.5 and --valid-share 0\.49 leave none of the \d examples of the label '[ab]' to train on"
    with pytest.raises(OptionError, match=message):
        train("classify", tmp_path / "a.csv", tmp_path / "m", **SMALL, **options)
    assert not (tmp_path / "m").exists()


def test_a_label_that_training_lacks_is_named_everywhere(model, folder, tmp_path):
    (tmp_path / "b.csv").write_text("text,label\nfine,good\nso so,middling\n")
    message = r"b\.csv, row 3: the label 'middling' does not occur in the training data, which has bad, good"
    with pytest.raises(DataError, match=message):
        model.evaluate(tmp_path / "b.csv")
    for part in ("valid", "test"):
        with pytest.raises(DataError, match=message):
            train("classify", folder / "reviews.csv", tmp_path / "m", **SMALL, **{part: tmp_path / "b.csv"})
    assert not (tmp_path / "m").exists()
