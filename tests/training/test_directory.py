"""The model directory: complete or not there, verified whenever it is read."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from steploom.errors import ModelDirectoryError
from steploom.training import documents
from steploom.training.directory import publish, read
from steploom.training.output import check_output, create, discard, read_run

DATA = {"path": "a.txt", "absolute": "/a.txt", "bytes": 2, "sha256": "0"}
FILES = {"train": [DATA], "valid": [], "test": []}
RUN = {"format": 1, "steploom": "0.1.0", "task": "toy", "options": {}, "files": FILES}


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "model"
    publish(path, {"task": "toy"}, {"epochs": 3}, {"labels": ["a", "b"]}, {"w": torch.arange(4.0)})
    return path


def change(model: Path, **values) -> None:
    manifest = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(manifest | values))


def list_file(model: Path, name: str, target: Path) -> None:
    content = target.read_bytes()
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change(model, files=json.loads((model / "model.json").read_text())["files"] | {name: entry})


def test_what_was_published_is_read(model):
    stored = read(model)
    assert (stored.task, stored.options, stored.artefacts) == ("toy", {"epochs": 3}, {"labels": ["a", "b"]})
    assert stored.manifest["steploom"] and stored.manifest["torch"]
    assert not list(model.glob(".*")), "no temporary file is left"


def test_what_training_learnt_may_be_of_any_size(model, monkeypatch):
    """Thousands of series leave hundreds of MiB behind: what was published must be readable again."""
    numbers = [[i / 7, None, float(i)] for i in range(100_000)]
    monkeypatch.setattr(documents, "_LARGEST", 100_000)
    publish(model, {"task": "toy"}, {"epochs": 3}, {"labels": ["a", "b"], "series": numbers}, {"w": torch.arange(4.0)})
    assert read(model).artefacts == {"labels": ["a", "b"], "series": numbers}
    assert (model / "series.json").read_bytes().count(b"\n") == 1, "a line a number takes minutes to write"
    assert (model / "labels.json").read_text() == '[\n "a",\n "b"\n]\n'
    change(model, padding="x" * 100_000)
    with pytest.raises(ModelDirectoryError, match=r"model\.json: larger than any file of this kind"):
        read(model)


@pytest.mark.parametrize("name", ["config.yaml", "weights.safetensors", "labels.json"])
def test_a_flipped_byte_names_the_file(model, name):
    content = bytearray((model / name).read_bytes())
    content[len(content) // 2] ^= 1
    (model / name).write_bytes(content)
    with pytest.raises(ModelDirectoryError, match=rf"{name}: damaged, .*sha256"):
        read(model)


@pytest.mark.parametrize("name", ["config.yaml", "weights.safetensors", "labels.json"])
def test_a_missing_file_is_named_and_a_shorter_one_too(model, name):
    whole = (model / name).read_bytes()
    (model / name).write_bytes(whole[:-1])
    with pytest.raises(
        ModelDirectoryError, match=rf"{name}: damaged, expected {len(whole)} bytes, found {len(whole) - 1}"
    ):
        read(model)
    (model / name).unlink()
    with pytest.raises(ModelDirectoryError, match=f"{name}: missing"):
        read(model)


def test_a_newer_format_says_who_wrote_it(model):
    change(model, format=2, steploom="9.1")
    with pytest.raises(ModelDirectoryError, match=r"written by Steploom 9\.1 in format 2; .* up to 1\. Update"):
        read(model)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "1"}', '{"format": 1}', "\xff", "[" * 100_000])
def test_a_damaged_manifest(model, content):
    (model / "model.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ModelDirectoryError, match=r"model\.json"):
        read(model)


@pytest.mark.parametrize("name", ["../secret.json", "sub/secret.json", "/etc/hostname", "..", "", "a\\b.json"])
def test_a_path_outside_is_refused(model, name):
    secret = model.parent / "secret.json"
    secret.write_text("{}")
    (model / "sub").mkdir()
    (model / "sub" / "secret.json").write_text("{}")
    list_file(model, name, secret)
    with pytest.raises(ModelDirectoryError, match="outside the directory"):
        read(model)


def test_a_link_that_leads_outside_is_refused(model):
    secret = model.parent / "secret.json"
    secret.write_text("{}")
    (model / "labels.json").unlink()
    (model / "labels.json").symlink_to(secret)
    list_file(model, "labels.json", secret)
    with pytest.raises(ModelDirectoryError, match="leads outside the model directory"):
        read(model)


def test_what_is_no_model_directory(tmp_path):
    with pytest.raises(ModelDirectoryError, match="there is no such model directory"):
        read(tmp_path / "nowhere")
    with pytest.raises(ModelDirectoryError, match=r"no Steploom model directory, model\.json is missing"):
        read(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelDirectoryError, match="found a file"):
        read(tmp_path / "file")
    create(tmp_path / "begun", RUN, {})
    with pytest.raises(
        ModelDirectoryError, match=r"interrupted before there was a model, or still runs\. `steploom resume .*begun`"
    ):
        read(tmp_path / "begun")


def test_an_output_that_exists_is_refused(model, tmp_path):
    check_output(tmp_path / "new", force=False)
    (tmp_path / "empty").mkdir()
    check_output(tmp_path / "empty", force=False)
    with pytest.raises(ModelDirectoryError, match=r"there is a model in this directory already\. --force replaces it"):
        check_output(model, force=False)
    check_output(model, force=True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(ModelDirectoryError, match="no Steploom model; it stays as it is"):
            check_output(other, force)
        with pytest.raises(ModelDirectoryError, match="found a file"):
            check_output(other / "notes.txt", force)


def test_an_interrupted_training_is_not_replaced_unasked(tmp_path):
    create(tmp_path / "begun", RUN, {})
    with pytest.raises(ModelDirectoryError, match=r"has no model yet: it was .*`steploom resume .*begun` goes on"):
        check_output(tmp_path / "begun", force=False)
    check_output(tmp_path / "begun", force=True)


def test_replacing_a_model_keeps_other_files(model):
    (model / "notes.txt").write_text("mine")
    create(model, RUN, {"epochs": 4})
    assert {p.name for p in model.iterdir()} == {"notes.txt", "config.yaml", "last"}
    discard(model)
    assert [p.name for p in model.iterdir()] == ["notes.txt"]


def test_what_create_wrote_is_read_for_a_resume(tmp_path, model):
    create(tmp_path / "begun", RUN, {})
    assert read_run(tmp_path / "begun") == RUN
    with pytest.raises(ModelDirectoryError, match="last/, which resuming needs, was deleted"):
        read_run(model)
    with pytest.raises(ModelDirectoryError, match="no such directory"):
        read_run(tmp_path / "nowhere")


def test_a_publication_that_was_cut_off_leaves_no_model(model, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr("steploom.training.directory.write_atomically", fail)
    with pytest.raises(OSError, match="full"):
        publish(model, {"task": "toy"}, {}, {}, {"w": torch.zeros(1)})
    with pytest.raises(ModelDirectoryError):
        read(model)


def test_a_path_with_blanks_is_quoted_where_it_is_to_be_typed(tmp_path):
    path = tmp_path / "my model; ls"
    create(path, RUN, {})
    for action in (lambda: read(path), lambda: check_output(path, force=False)):
        with pytest.raises(ModelDirectoryError) as raised:
            action()
        assert f"`steploom resume '{path}'` goes on with it" in str(raised.value)
