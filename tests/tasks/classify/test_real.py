"""Real data, for a short time. Minutes long."""

import pytest

from steploom.tasks.train import train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_digits_row_by_row(shared_data, tmp_path):
    data = shared_data / "mnist"
    parts = {
        name: [data / f"{name}-images-idx3-ubyte.gz", data / f"{name}-labels-idx1-ubyte.gz"]
        for name in ("train", "t10k")
    }
    options = {"hidden_size": 64, "pooling": "max", "batch_size": 128, "epochs": 2, "max_minutes": 8, "progress": False}
    model = train("classify", parts["train"], tmp_path / "m", test=parts["t10k"], **options)
    assert model.report["test"]["metrics"]["accuracy"] > 0.94
    assert model.report["test"]["baselines"]["majority"]["accuracy"] == pytest.approx(0.1135)


def test_film_reviews(shared_data, tmp_path):
    data = shared_data / "mr-polarity"
    options = {
        "file_labels": ["negative", "positive"],
        "split_punctuation": False,
        "test_share": 0.1,
        "progress": False,
    }
    options |= {"hidden_size": 32, "dropout": 0.5, "epochs": 5, "max_minutes": 8}
    model = train("classify", [data / "rt-polarity.neg", data / "rt-polarity.pos"], tmp_path / "m", **options)
    assert model.report["test"]["metrics"]["examples"] == 1066
    assert model.report["test"]["metrics"]["accuracy"] > 0.71


def test_sentences_of_trees(shared_data, tmp_path):
    data = shared_data / "sst-trees"
    names = {"0": "negative", "1": "negative", "2": "", "3": "positive", "4": "positive"}
    options = {"kind": "text", "relabel": names, "split_punctuation": False, "lower_case": True, "progress": False}
    options |= {"hidden_size": 32, "dropout": 0.5, "epochs": 5, "max_minutes": 8}
    parts = {"valid": data / "dev.txt", "test": data / "test.txt"}
    model = train("classify", data / "train.txt.gz", tmp_path / "m", **parts, **options)
    assert sum(model.task.artefacts["labels"]["counts"]) == 6920
    assert model.report["validation"]["metrics"]["examples"] == 872
    assert model.report["test"]["metrics"]["examples"] == 1821
    assert model.report["test"]["metrics"]["accuracy"] > 0.74
