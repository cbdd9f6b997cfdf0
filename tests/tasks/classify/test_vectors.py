"""The task `classify` on images and sequences of vectors."""

import gzip
import json
import struct

import numpy as np
import pytest
import torch

from steploom.errors import DataError, ModelDirectoryError, OptionError
from steploom.tasks.classify.arrays import read_npz
from steploom.tasks.train import train
from steploom.tasks.trained import load
from tests.docs.files import write_labelled

SMALL = {"hidden_size": 16, "dropout": 0.0, "lr": 0.02, "epochs": 3, "progress": False}


def write_idx(path, array):
    content = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype("u1").tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("arrays")
    write_labelled(path)
    with np.load(path / "strokes.npz") as strokes:
        for part, rows in (("train", slice(0, 250)), ("t10k", slice(250, 300))):
            write_idx(path / f"{part}-images-idx3-ubyte.gz", strokes["images"][rows])
            write_idx(path / f"{part}-labels-idx1-ubyte", strokes["labels"][rows])
    return path


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    return train("classify", folder / "strokes.npz", tmp_path_factory.mktemp("m") / "model", **SMALL)


def test_images_are_learnt(model, folder):
    metrics = model.report["validation"]["metrics"]
    assert metrics["accuracy"] > 0.8 and metrics["examples"] == 30
    assert model.task.classes == ("0", "1", "2") and model.task.facts()["inputs"] == "images of 8 x 8, by rows"
    with np.load(folder / "strokes.npz") as strokes:
        images = strokes["images"].astype(np.float64)
    scaler = model.task.artefacts["scaler"]
    assert len(scaler["mean"]) == 1 and abs(scaler["mean"][0] - images.mean()) < 2
    x = torch.tensor((images[:5] - scaler["mean"][0]) / scaler["deviation"][0], dtype=torch.float32).transpose(0, 1)
    expected = model.network.probabilities({"vectors": x})
    rows = model.predict(folder / "strokes.npz").value
    found = torch.tensor([list(row["probabilities"].values()) for row in rows[:5]])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert [row["row"] for row in rows] == list(range(1, 301)) and "text" not in rows[0]
    assert load(model.path).predict(folder / "strokes.npz").value == rows


def test_idx_files_of_images_and_labels(model, folder, tmp_path, caplog):
    parts = {
        part: [folder / f"{part}-images-idx3-ubyte.gz", folder / f"{part}-labels-idx1-ubyte"]
        for part in ("train", "t10k")
    }
    found = train(
        "classify", parts["train"], tmp_path / "m", test=parts["t10k"], steps="pixels", **SMALL | {"epochs": 1}
    )
    assert found.report["test"]["metrics"]["examples"] == 50 and found.task.artefacts["inputs"]["size"] == 1
    assert found.task.facts()["inputs"] == "images of 8 x 8, by pixels"
    caplog.set_level("INFO", logger="steploom")
    by_rows = model.evaluate(parts["t10k"][::-1]).metrics
    assert by_rows["examples"] == 50
    (folder / "t10k-labels-idx1-ubyte").rename(folder / "t10k-labels-idx1-ubyte.gz")
    assert model.evaluate(parts["t10k"][0]).metrics == by_rows and "labels from" in caplog.text
    (folder / "t10k-labels-idx1-ubyte.gz").rename(folder / "t10k-labels-idx1-ubyte")
    assert len(model.predict(parts["t10k"][0]).value) == 50
    model.plot(tmp_path / "a.png", folder / "strokes.npz")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_ragged_sequences(tmp_path):
    chance = np.random.default_rng(0)
    lengths, labels = chance.integers(1, 9, 200), np.array(["down", "up"])[chance.integers(0, 2, 200)]
    steps = chance.normal(size=(lengths.sum(), 2)) + 3 * np.repeat(labels == "up", lengths)[:, None]
    np.savez(tmp_path / "a.npz", series=steps, kind=labels, lengths=lengths)
    names = {"array": "series", "label": "kind"}
    model = train("classify", tmp_path / "a.npz", tmp_path / "m", bidirectional=True, pooling="last", **names, **SMALL)
    assert model.task.classes == ("down", "up") and model.report["validation"]["metrics"]["accuracy"] > 0.9
    assert len(model.task.artefacts["scaler"]["mean"]) == 2
    np.savez(tmp_path / "b.npz", series=steps[: lengths[0]][None].astype(np.float32))
    whole, alone = model.predict(tmp_path / "a.npz").value[0], model.predict(tmp_path / "b.npz").value[0]
    assert alone["probabilities"] == pytest.approx(whole["probabilities"], abs=1e-5)


@pytest.mark.parametrize(
    ("arrays", "options", "error", "message"),
    [
        ({"x": np.zeros((4, 3, 2)), "y": [0, 1, 0]}, {}, DataError, "there are 4 examples and 3 labels"),
        ({"x": np.zeros((4, 3, 2)), "y": [0, 0, 0, 0]}, {}, DataError, "one label only, '0'"),
        (
            {"x": np.zeros((4, 3, 2)), "y": [0.5, 0, 0, 1]},
            {},
            DataError,
            "row 1: the array 'y': expected a whole number",
        ),
        (
            {"x": np.zeros((4, 3, 2)), "y": np.zeros((4, 3))},
            {},
            DataError,
            "expected one label an example, found 4 x 3",
        ),
        ({"x": np.zeros((4, 3, 2))}, {}, DataError, "which array holds the labels is not clear; there are x"),
        (
            {"a": np.zeros((4, 3)), "b": np.zeros((4, 3)), "y": [0, 1, 0, 1]},
            {},
            DataError,
            "which array holds the inputs",
        ),
        (
            {"x": np.zeros((4, 3)), "y": [0, 1, 0, 1]},
            {"array": "z"},
            OptionError,
            "--array: .* has no array 'z'; it has x, y",
        ),
        ({"x": np.zeros((4, 3)), "y": [0, 1, 0, 1]}, {"label": "x"}, OptionError, "one array cannot be two of them"),
        (
            {"x": np.zeros((4, 3)), "y": [0, 1, 0, 1]},
            {"lower_case": True},
            OptionError,
            "--lower-case: it is for texts",
        ),
        ({"x": np.zeros((4, 3)), "y": [0, 1, 0, 1]}, {"shift": 1}, OptionError, "--shift: the data are no images"),
        (
            {"x": np.zeros((4, 5, 4), np.uint8), "y": [0, 1, 0, 1]},
            {"shift": 4},
            OptionError,
            "--shift: expected a number below the size of the images, 5 x 4, found 4",
        ),
        (
            {"x": np.zeros((4, 3, 3)), "y": [0, 1, 0, 1]},
            {"shift": 1},
            OptionError,
            "examples x height x width x channels, with 1 channel where they are grey",
        ),
        (
            {"x": np.zeros((4, 3)), "y": [0, 1, 0, 1]},
            {"steps": "pixels"},
            OptionError,
            "--steps: pixels are of images, and these are sequences. Leave it out",
        ),
        (
            {"x": np.zeros((4, 3, 2)), "y": [0, 1, 0, 1], "lengths": [3, 2, 3, 1]},
            {"steps": "pixels"},
            OptionError,
            "--steps: pixels are of images",
        ),
        (
            {"x": np.zeros((4, 3)), "y": [0, 1e300, 0, 1]},
            {},
            DataError,
            r"row 2: the array 'y': expected a label, found 1e\+300, too large",
        ),
        ({"x": np.zeros((4, 3)), "y": [0, 1, -(2.0**53), 1]}, {}, DataError, "row 3: the array 'y': expected a label"),
        ({"x": np.full((4, 3, 2), np.inf), "y": [0, 1, 0, 1]}, {}, DataError, "row 1: step 1, number 1 .* is inf"),
    ],
)
def test_arrays_that_cannot_be_used_leave_nothing(tmp_path, arrays, options, error, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(error, match=message):
        train("classify", tmp_path / "a.npz", tmp_path / "m", **SMALL, **options)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("kind", ["<f2", ">f2", ">f8", "<i1", ">u4", "<U1", ">U1", "S1"])
def test_labels_of_any_type(tmp_path, kind):
    np.savez(tmp_path / "a.npz", x=np.zeros((6, 3)), y=np.array([0, 1, 2, 2, 1, 0]).astype(kind))
    names = {"inputs": None, "label": None, "lengths": None}
    assert read_npz(tmp_path / "a.npz", names, True, False, True)[1] == ["0", "1", "2", "2", "1", "0"]


def test_the_arrays_of_the_training_are_those_of_later_files(tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    draw = np.random.default_rng(0)
    target = draw.integers(0, 2, 60)
    images = draw.normal(size=(60, 5, 3)) + target[:, None, None]
    lengths = draw.integers(1, 6, 60)
    np.savez(tmp_path / "a.npz", images=images, target=target, lengths=lengths)
    trained = train("classify", tmp_path / "a.npz", tmp_path / "m", **SMALL)
    for model in (trained, load(trained.path)):
        wanted, scores = model.predict(tmp_path / "a.npz").value, model.evaluate(tmp_path / "a.npz").metrics
        # Other arrays with usual names, as where a table of features or of numbered groups was added.
        more = {"x": np.zeros((60, 5, 3)), "y": 1 - target}
        np.savez(tmp_path / "b.npz", **more, images=images, target=target, lengths=lengths)
        assert model.predict(tmp_path / "b.npz").value == wanted
        assert model.evaluate(tmp_path / "b.npz").metrics == scores
        # A file may have them under other names.
        np.savez(tmp_path / "c.npz", data=images, label=target, length=lengths)
        assert model.predict(tmp_path / "c.npz").value == wanted
        assert model.evaluate(tmp_path / "c.npz").metrics == scores
        assert "lengths" not in caplog.text
        np.savez(tmp_path / "d.npz", images=images, n=lengths)
        model.predict(tmp_path / "d.npz")
        said = "d.npz: there is no array 'lengths', which the training had: all 5 steps of each example are read"
        assert said in caplog.text
        caplog.clear()


def test_numbers_in_another_unit_are_said(tmp_path, caplog):
    draw = np.random.default_rng(0)
    target = draw.integers(0, 2, 60)
    bytes_ = np.clip(draw.normal(60, 20, (60, 8, 8, 1)) + 100 * target[:, None, None, None], 0, 255).round()
    files = {"bytes": bytes_, "shares": bytes_ / 255, "vectors": bytes_[..., 0], "thousandths": bytes_[..., 0] / 1000}
    for name, values in files.items():
        np.savez(tmp_path / f"{name}.npz", x=values, y=target)
    np.savez(tmp_path / "one.npz", x=files["vectors"][:1], y=target[:1])
    said = "numbers are far from those in training"
    for name, same, others in (
        ("bytes", ("bytes",), ("shares",)),
        ("shares", ("shares",), ("bytes",)),
        ("vectors", ("vectors", "one"), ("thousandths",)),
        ("thousandths", ("thousandths",), ("vectors", "one")),
    ):
        caplog.clear()
        model = train("classify", tmp_path / f"{name}.npz", tmp_path / f"model-{name}", **SMALL)
        for other in same:
            model.evaluate(tmp_path / f"{other}.npz")
        assert said not in caplog.text
        for other in others:
            caplog.clear()
            model.predict(tmp_path / f"{other}.npz")
            assert f"{other}.npz: the {said}" in caplog.text


def test_idx_files_have_no_names_to_choose_from(folder, tmp_path):
    for options in ({"array": "x"}, {"label": "y"}, {"lengths": "n"}):
        with pytest.raises(OptionError, match=f"--{next(iter(options))}: the arrays of idx files have no names"):
            train("classify", folder / "train-images-idx3-ubyte.gz", tmp_path / "m", **SMALL, **options)


def test_a_form_changed_by_hand_is_refused(folder, tmp_path):
    from tests.cli.conftest import rewrite

    options = SMALL | {"epochs": 1, "shift": 2, "valid_share": 0}
    model = train("classify", folder / "strokes.npz", tmp_path / "m", **options)
    stored = json.loads((model.path / "inputs.json").read_text())
    for change in (
        {"shape": [-5, 8]},
        {"shape": [8]},
        {"shape": [8, 8, 1, 1]},
        {"shape": [8, 9]},
        {"shape": [8, 8.0]},
        {"shape": [2, 8]},
        {"shape": None},
        {"size": 7},
        {"size": True},
    ):
        rewrite(model.path, "inputs.json", stored | change)
        with pytest.raises(ModelDirectoryError, match=r"inputs\.json: .*'s(ize|hape)'.* should be"):
            load(model.path)
    rewrite(model.path, "inputs.json", stored)
    load(model.path)


def test_what_the_model_was_not_trained_on(model, folder, tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 8, 7), np.uint8), labels=[0, 1])
    with pytest.raises(DataError, match=r"a\.npz: the model was trained on images of 8 x 8, found images of 8 x 7"):
        model.evaluate(tmp_path / "a.npz")
    write_idx(tmp_path / "b", np.zeros((3, 8, 8)))
    with pytest.raises(DataError, match="there is no file with its labels"):
        model.evaluate(tmp_path / "b")
    with pytest.raises(DataError, match=r"labels-idx1-ubyte: 50 labels for the 3 examples of .*b$"):
        model.evaluate([tmp_path / "b", folder / "t10k-labels-idx1-ubyte"])
    with pytest.raises(DataError, match="the file holds labels alone"):
        model.predict(folder / "t10k-labels-idx1-ubyte")
    with pytest.raises(OptionError, match="this model reads vectors from a file"):
        model.predict()
    (tmp_path / "c.csv").write_text("text,label\na,b\n")
    with pytest.raises(
        OptionError, match=r"the files are of several kinds: .*strokes\.npz \(vectors\), .*c\.csv \(text\)"
    ):
        train("classify", [folder / "strokes.npz", tmp_path / "c.csv"], tmp_path / "m", **SMALL)
