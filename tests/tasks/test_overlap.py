"""Examples of --valid and --test that are trained on as well."""

import numpy as np
import pytest

from steploom.tasks.overlap import overlap
from steploom.tasks.registry import task_class
from steploom.tasks.train import train

TEXTS = [("good good film", "a"), ("bad film", "b"), ("good", "a"), ("bad bad", "b")]
NEW = [("fine", "a"), ("awful", "b")]


def test_each_example_counts_as_often_as_its_part_has_it():
    assert overlap("pair", "abca", valid="aabd", test="xyz") == {"valid": "3 of 4 pairs"}
    assert overlap("pair", "abca", test="a") == {"test": "1 of 1 pair"}
    assert overlap("pair", "abca") == {}


def texts(rows):
    return "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)


def trees(rows):
    return "".join(f"({label} (x {text.split()[0]}) (x end))\n" for text, label in rows)


def tagged(rows):
    return "\n".join("".join(f"{word} {label}\n" for word in text.split()) for text, label in rows)


def lines(rows):
    return "".join(f"{text}\n" for text, _ in rows)


def pairs(rows):
    return "".join(f"{text}\t{text} too\n" for text, _ in rows)


@pytest.mark.parametrize(
    ("task", "write", "options", "said"),
    [
        ("classify", texts, {}, "2 of 4 examples"),
        ("classify", trees, {"kind": "trees"}, "2 of 4 examples"),
        ("tag", tagged, {"scheme": "labels"}, "2 of 4 sentences"),
        ("translate", pairs, {}, "2 of 4 pairs"),
        ("generate", lines, {"lines": True}, "2 of 4 lines"),
        ("generate", lines, {}, None),
        ("embed", lines, {}, "1 of 3 neighbouring pairs"),
    ],
)
def test_rows_that_stand_in_both_files_are_counted(tmp_path, task, write, options, said):
    files = {"train": TEXTS, "valid": [*TEXTS[1:3], *NEW], "new": NEW}
    for name, rows in files.items():
        (tmp_path / f"{name}.tsv" if task == "translate" else tmp_path / name).write_text(write(rows))
        if write is texts:
            (tmp_path / name).rename(tmp_path / f"{name}.csv")
    ending = ".csv" if write is texts else ".tsv" if task == "translate" else ""
    learnt, valid, new = ([tmp_path / f"{name}{ending}"] for name in files)
    kind = task_class(task)
    checked = kind.TrainOptions.checked(options)
    assert kind.prepare(checked, learnt, valid, new).overlap == ({} if said is None else {"valid": said})
    assert kind.prepare(checked, learnt).overlap == {}


def test_the_same_images_are_counted(tmp_path):
    x, y = np.arange(24.0).reshape(4, 3, 2), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "train.npz", x=x, y=y)
    # The last one is there with another label.
    np.savez(tmp_path / "valid.npz", x=np.stack([x[1], -x[1], x[3]]), y=[1, 1, 0])
    kind = task_class("classify")
    prepared = kind.prepare(kind.TrainOptions.checked({}), [tmp_path / "train.npz"], [tmp_path / "valid.npz"])
    assert prepared.overlap == {"valid": "1 of 3 examples"}


def test_they_are_said_once(tmp_path, caplog):
    (tmp_path / "train.csv").write_text(texts(TEXTS))
    (tmp_path / "valid.csv").write_text(texts([*TEXTS[1:3], *NEW]))
    options = {"hidden_size": 4, "epochs": 1, "progress": False, "force": True}
    train("classify", tmp_path / "train.csv", tmp_path / "m", valid=tmp_path / "valid.csv", **options)
    said = "--valid: 2 of 4 examples stand in the training data too; they say little"
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [said]
    caplog.clear()
    copy = tmp_path / "copy.csv"
    copy.write_text(texts(TEXTS))
    train("classify", tmp_path / "train.csv", tmp_path / "m", valid=copy, **options)
    said = f"{copy}: the model is trained on this file too; as --valid it says little"
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [said]
