"""`train`, `load` and `resume`, on a task small enough to see through."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from steploom.errors import DataError, ModelDirectoryError, OptionError, SteploomError
from steploom.tasks.registry import TASKS
from steploom.tasks.task import Files
from steploom.tasks.train import resume, train
from steploom.tasks.trained import load


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[1] / "training"), *sys.path])
    monkeypatch.setitem(TASKS, "toy", "toy:ToyTask")


@pytest.fixture
def data(tmp_path) -> Path:
    file = tmp_path / "data.txt"
    file.write_text("3\n")
    return file


@pytest.fixture
def model(tmp_path, data) -> Path:
    train("toy", data, tmp_path / "model", epochs=2)
    return tmp_path / "model"


def test_train_reports_and_load_gives_the_same_network(tmp_path, data):
    test = tmp_path / "test.txt"
    test.write_text("8\n")
    trained = train("toy", [data], tmp_path / "model", test=test, epochs=2, hidden_size=5)
    report = trained.report
    assert report["task"] == "toy" and report["model"] == str(tmp_path / "model") and report["epochs"] == 2
    assert report["parameters"] == sum(p.numel() for p in trained.network.parameters())
    assert report["validation"]["metrics"]["mse"] > 0 and report["test"]["baselines"] == {"zero": {"mse": 1.0}}
    assert report["engine"] and report["seconds"] > 0
    data.unlink()
    again = load(tmp_path / "model")
    assert again.task.options == trained.task.options and not again.network.training
    assert again.evaluate(test).metrics == report["test"]["metrics"]
    assert again.predict().text == trained.predict().text
    for name, value in trained.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name])


def test_a_file_that_is_given_twice_is_refused(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.txt").symlink_to(data)
    for again in ("data.txt", data, "link.txt"):
        with pytest.raises(DataError, match=r"txt: this file stands twice in the training data. Name each file once"):
            train("toy", ["data.txt", again], tmp_path / "model")
    (tmp_path / "other.txt").write_text("8\n")
    with pytest.raises(DataError, match=r"other.txt: this file stands twice in --test"):
        train("toy", data, tmp_path / "model", test=["other.txt", "other.txt"])
    assert not (tmp_path / "model").exists()


def test_a_part_that_is_trained_on_is_said(tmp_path, data, caplog):
    (tmp_path / "copy.txt").write_text("3\n")
    (tmp_path / "other.txt").write_text("8\n")
    for test in (data, tmp_path / "copy.txt"):
        train("toy", data, tmp_path / "model", valid=tmp_path / "other.txt", test=test, epochs=1, force=True)
        assert caplog.messages == [f"{test}: the model is trained on this file too; as --test it says little"]
        caplog.clear()


@pytest.mark.parametrize(
    ("task", "option"),
    [
        ("tag", {"valid_every": 10}),
        ("translate", {"valid_every": 5}),
        ("embed", {"valid_share": 0.2}),
        ("generate", {"valid_share": 0.1}),
        ("forecast", {"valid_share": 0.2, "target": "y", "horizon": 2}),
        ("classify", {"valid_share": 0.1}),
    ],
)
def test_setting_rows_aside_beside_a_file_for_it_is_refused(tmp_path, data, task, option):
    name = next(iter(option)).replace("_", "-")
    with pytest.raises(OptionError, match=f"--{name}: there is a --valid. Leave it out"):
        train(task, data, tmp_path / "model", valid=data, **option)


def test_a_model_is_saved_elsewhere(model, tmp_path):
    first = load(model)
    first.save(tmp_path / "copy")
    assert load(tmp_path / "copy").predict().text == first.predict().text
    assert not (tmp_path / "copy" / "last").exists()
    with pytest.raises(ModelDirectoryError, match="already"):
        first.save(tmp_path / "copy")
    first.save(model)
    assert load(model).predict().text == first.predict().text
    assert (model / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("task", "options", "error", "message"),
    [
        ("tory", {}, OptionError, "Did you mean 'toy'"),
        ("toy", {"hiden_size": 3}, OptionError, "Did you mean '--hidden-size'"),
        ("toy", {"epochs": 0}, OptionError, "--epochs: expected a whole number of at least 1, found 0"),
        ("toy", {"devices": 3, "accelerator": "gpu"}, OptionError, "training cannot start on this machine"),
    ],
)
def test_a_mistake_leaves_no_directory(tmp_path, data, task, options, error, message):
    if options.get("accelerator") == "gpu" and torch.cuda.is_available():
        pytest.skip("the machine has a GPU")
    with pytest.raises(error, match=message):
        train(task, data, tmp_path / "model", **options)
    assert [p.name for p in tmp_path.iterdir()] == ["data.txt"]


def test_bad_data_leave_no_directory_and_no_older_model_is_lost(tmp_path, data, model):
    bad = tmp_path / "bad.txt"
    bad.write_text("three\n")
    with pytest.raises(DataError, match="expected a whole number"):
        train("toy", bad, tmp_path / "new")
    with pytest.raises(DataError, match="expected a whole number"):
        train("toy", bad, model, force=True)
    with pytest.raises(DataError, match="there is no such file"):
        train("toy", tmp_path / "nothing.txt", tmp_path / "new")
    with pytest.raises(DataError, match="found a directory"):
        train("toy", tmp_path, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    load(model)


def test_force_replaces_a_model(model, data):
    with pytest.raises(ModelDirectoryError, match="--force"):
        train("toy", data, model, epochs=1)
    before = load(model).predict().text
    assert train("toy", data, model, epochs=1, force=True).predict().text != before
    assert len((model / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_complete_training_can_only_go_on_for_longer(model, data, tmp_path):
    with pytest.raises(ModelDirectoryError, match=r"complete, 2 epochs are done\. Train longer with --epochs 4"):
        resume(model)
    with pytest.raises(ModelDirectoryError, match="complete"):
        resume(model, epochs=2)
    longer = resume(model, epochs=3)
    assert longer.report["epochs"] == 3 and load(model).task.options.epochs == 3
    whole = train("toy", data, tmp_path / "whole", epochs=3)
    assert longer.predict().text == whole.predict().text


def test_killed_before_the_longer_training_was_published(model, data, tmp_path, monkeypatch):
    from toy import ToyTask

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ToyTask, "finish", stop)
    with pytest.raises(KeyboardInterrupt, match="Go on with: steploom resume"):
        resume(model, epochs=4)
    monkeypatch.undo()
    monkeypatch.setitem(TASKS, "toy", "toy:ToyTask")
    assert json.loads((model / "model.json").read_text())["training"]["epochs"] == 2
    longer = resume(model)
    assert longer.report["epochs"] == 4
    assert longer.predict().text == train("toy", data, tmp_path / "whole", epochs=4).predict().text


def test_what_is_no_path_is_named(model, data, tmp_path):
    table = object()
    for wrong, call in (
        ("task: expected a name such as 'classify', found int", lambda: train(5, data, tmp_path / "m")),
        ("data: expected a path or a list of paths, found NoneType", lambda: train("toy", None, tmp_path / "m")),
        ("out: expected a path, found NoneType", lambda: train("toy", data, None)),
        ("valid: expected a path or a list of paths, found int", lambda: train("toy", data, tmp_path / "m", valid=0)),
        ("path: expected a path, found object", lambda: load(table)),
        ("path: expected a path, found object", lambda: resume(table)),
        ("path: expected a path, found int", lambda: load(model).save(3)),
        ("path: expected a path, found int", lambda: load(model).plot(3)),
    ):
        with pytest.raises(OptionError, match=wrong):
            call()
    assert not (tmp_path / "m").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes in folders")
def test_a_pipe_is_refused_before_it_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"pipe: this is a pipe or a device, .* Write it to a file first"):
        train("toy", tmp_path / "pipe", tmp_path / "m")


def test_changed_or_missing_data_are_named(model, data):
    data.write_text("4\n")
    with pytest.raises(DataError, match=r"data\.txt: this file has changed since the training began"):
        resume(model, epochs=3)
    data.unlink()
    with pytest.raises(DataError, match=r"data\.txt: this file, which the training reads, is gone"):
        resume(model, epochs=3)


CELL = "user_cell_for_test:Mine"


def test_a_cell_of_ones_own_is_imported_only_when_it_is_named(tmp_path, data, monkeypatch):
    train("toy", data, tmp_path / "model", epochs=1, cell=CELL)
    for action in (load, lambda path, **cell: resume(path, epochs=2, **cell)):
        with pytest.raises(ModelDirectoryError, match=f"If you trust it, name it: --cell {CELL}"):
            action(tmp_path / "model")
        with pytest.raises(ModelDirectoryError, match=f"its cell is '{CELL}', not 'other:Cell'"):
            action(tmp_path / "model", cell="other:Cell")
        action(tmp_path / "model", cell=CELL)


def test_options_that_do_not_fit_the_weights_are_refused(model, monkeypatch):
    import hashlib

    manifest = json.loads((model / "model.json").read_text())
    content = (model / "config.yaml").read_text().replace("hidden_size: 6", "hidden_size: 1000000000").encode()
    (model / "config.yaml").write_bytes(content)
    manifest["files"]["config.yaml"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (model / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelDirectoryError, match=r"not the weights of the model|cannot be built|expected at most"):
        load(model)


def test_a_failure_before_anything_was_kept_leaves_no_directory(tmp_path, data):
    with pytest.raises(SteploomError, match="not a finite number"):
        train("toy", data, tmp_path / "model", optimizer="sgd", lr=1e30)
    assert not (tmp_path / "model").exists()


HOLD = """
import sys, time
from pathlib import Path
from steploom.training.lock import only_training_in
with only_training_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def held(model):
    """Another process trains in the model's directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(model / "last")], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield model
    process.kill()
    process.communicate()


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_nothing_is_touched_where_another_process_trains(held, data, tmp_path):
    before, other = content(held), load(held)
    (tmp_path / "plain").mkdir()
    for action in (
        lambda: train("toy", data, held, epochs=1, force=True),
        lambda: resume(held, epochs=5),
        lambda: train("toy", data, tmp_path / "plain", epochs=1).save(held, force=True),
    ):
        with pytest.raises(ModelDirectoryError, match="another process is training in this directory"):
            action()
        assert content(held) == before
    other.save(tmp_path / "copy")


def test_a_model_that_came_up_meanwhile_is_not_replaced_unasked(tmp_path, data, monkeypatch):
    from toy import ToyTask

    prepare = ToyTask.prepare.__func__

    def slow(cls, *args):
        monkeypatch.undo()
        monkeypatch.setitem(TASKS, "toy", "toy:ToyTask")
        train("toy", data, tmp_path / "model", epochs=1)
        return prepare(cls, *args)

    monkeypatch.setattr(ToyTask, "prepare", classmethod(slow))
    with pytest.raises(ModelDirectoryError, match="there is a model in this directory already"):
        train("toy", data, tmp_path / "model", epochs=2)
    assert load(tmp_path / "model").manifest["training"]["epochs"] == 1


DAMAGES = {
    "no files": {"files": None},
    "files of another kind": {"files": ["data.txt"]},
    "no training files": {"files": {"train": [], "valid": [], "test": []}},
    "no part test": {"files": {"train": [{"path": "a", "absolute": "/a", "bytes": 1, "sha256": ""}], "valid": []}},
    "files without facts": {"files": {"train": ["data.txt"], "valid": [], "test": []}},
    "facts of another kind": {
        "files": {"train": [{"path": 1, "absolute": [], "bytes": "2", "sha256": None}], "valid": [], "test": []}
    },
    "no task": {"task": None},
    "options of another kind": {"options": [1]},
    "an option of another kind": {"options": {"epochs": {"a": 1}}},
    "an unknown option": {"options": {"epoch": 1}},
    "a format of another kind": {"format": "1"},
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_is_one_message(model, name):
    file = model / "last" / "run.json"
    run = json.loads(file.read_text()) | DAMAGES[name]
    file.write_text(json.dumps({key: value for key, value in run.items() if value is not None}))
    with pytest.raises(ModelDirectoryError, match=r"run\.json"):
        resume(model, epochs=3)


@pytest.mark.parametrize("lost", ["network", "optimizer", "precision", "average", "carry"])
def test_a_checkpoint_that_lacks_something_is_one_message(model, lost):
    file = model / "last" / "checkpoint.pt"
    kept = torch.load(file, weights_only=True)
    del kept[lost]
    torch.save(kept, file)
    with pytest.raises(ModelDirectoryError, match=r"checkpoint\.pt"):
        resume(model, epochs=3)


class Anew:
    """Makes the toy task train anew, and the n-th loss of that NaN or an interruption."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from toy import ToyBatches, ToyTask

        self.calls, self.bad, self.stop = 0, -1, -1
        outer = self

        class Watched(ToyBatches):
            def batch(self, epoch, index, rank=0, world=1):
                outer.calls += 1
                if outer.calls == outer.stop:
                    raise KeyboardInterrupt
                batch = super().batch(epoch, index, rank, world)
                return batch | ({"y": batch["y"] * float("nan")} if outer.calls == outer.bad else {})

        monkeypatch.setattr(ToyTask, "refit_batches", lambda self, prepared, steps: Watched(50, steps))


@pytest.fixture
def anew(monkeypatch) -> Anew:
    return Anew(monkeypatch)


def test_training_anew_is_stated(tmp_path, data, anew):
    model = train("toy", data, tmp_path / "model", epochs=3)
    stated = model.report["refit"]
    assert stated == {"steps": anew.calls, "epochs": round(anew.calls / 7, 2)} and anew.calls > 0
    assert load(tmp_path / "model").manifest["training"]["refit"] == stated
    log = (tmp_path / "model" / "train.log").read_text().splitlines()
    assert f"training anew on all rows, {anew.calls} steps" in log[-2] and "trained anew" in log[-1]


def test_what_is_not_trained_anew_says_so(model, data, tmp_path):
    assert load(model).manifest["training"]["refit"] is None
    assert train("toy", data, tmp_path / "other", epochs=1).report["refit"] is None


def test_the_first_weights_are_kept_where_training_anew_fails(model, tmp_path, data, anew, caplog):
    anew.bad = 3
    failed = train("toy", data, tmp_path / "failed", epochs=2)
    assert failed.predict().text == load(model).predict().text
    assert failed.report["refit"] is None and not failed.network.training
    assert "not a finite number" in caplog.text and "the weights found before are kept" in caplog.text
    assert "the weights found before are kept" in (tmp_path / "failed" / "train.log").read_text()


def test_an_interruption_while_training_anew_keeps_the_model_and_is_resumed(tmp_path, data, anew, monkeypatch):
    whole = train("toy", data, tmp_path / "whole", epochs=2)
    anew.calls, anew.stop = 0, 3
    with pytest.raises(KeyboardInterrupt, match="Go on with: steploom resume"):
        train("toy", data, tmp_path / "model", epochs=2)
    kept = load(tmp_path / "model")
    assert kept.manifest["training"]["stopped"] == "interrupted"
    assert kept.predict().text != whole.predict().text
    resumed = resume(tmp_path / "model")
    assert resumed.predict().text == whole.predict().text
    assert {**resumed.report, "model": "", "seconds": 0} == {**whole.report, "model": "", "seconds": 0}
    with pytest.raises(ModelDirectoryError, match="complete"):
        resume(tmp_path / "model")


def test_a_second_interruption_says_how_to_go_on(tmp_path, data, monkeypatch):
    from toy import ToyBatches

    def stop(self, epoch, index, rank=0, world=1):
        if index == 3:
            raise KeyboardInterrupt
        return batch(self, epoch, index, rank, world)

    batch, path = ToyBatches.batch, tmp_path / "my model"
    monkeypatch.setattr(ToyBatches, "batch", stop)
    with pytest.raises(KeyboardInterrupt) as raised:
        train("toy", data, path, epochs=1)
    assert str(raised.value) == "" and not path.exists(), "there was nothing to keep"
    for action in (lambda: train("toy", data, path, epochs=1, checkpoint_steps=1), lambda: resume(path)):
        with pytest.raises(KeyboardInterrupt, match=f"Go on with: steploom resume '{path}'$"):
            action()


def test_an_interruption_while_the_test_part_is_scored_leaves_a_complete_model(tmp_path, data, monkeypatch):
    from toy import ToyTask

    evaluate = ToyTask.evaluate

    def stop(self, network, source, options):
        if isinstance(source, Files):
            raise KeyboardInterrupt
        return evaluate(self, network, source, options)

    monkeypatch.setattr(ToyTask, "evaluate", stop)
    with pytest.raises(KeyboardInterrupt, match=r"holds the model.*steploom evaluate .*model .*data\.txt"):
        train("toy", data, tmp_path / "model", test=data, epochs=1)
    assert load(tmp_path / "model").manifest["training"]["stopped"] == "epochs"


def test_a_part_that_is_not_there_has_no_scores(tmp_path, data, monkeypatch, caplog):
    from toy import ToyTask

    prepare = ToyTask.prepare.__func__
    without = classmethod(lambda cls, *args: replace(prepare(cls, *args), valid=None, valid_source=None))
    monkeypatch.setattr(ToyTask, "prepare", without)
    caplog.set_level("INFO", logger="steploom")
    report = train("toy", data, tmp_path / "model", epochs=1).report
    assert report["validation"] == report["test"] == {"metrics": {}, "baselines": {}}
    assert "nothing was set aside for validation" in caplog.text


def test_scoring_the_training_data_is_said(model, data, tmp_path, caplog):
    other = tmp_path / "other.txt"
    other.write_text("4\n")
    load(model).evaluate(other)
    assert not caplog.text
    load(model).evaluate(data)
    assert "data.txt: the model was trained on this file" in caplog.text
    (tmp_path / "copy.txt").write_text(data.read_text())
    caplog.clear()
    trained = train("toy", [other, data], tmp_path / "two", epochs=1)
    trained.evaluate(tmp_path / "copy.txt")
    assert "copy.txt: the model was trained on this file" in caplog.text
    (model / "model.json").write_text(
        json.dumps(json.loads((model / "model.json").read_text()) | {"trained_on": ["?", 3]})
    )
    load(model).evaluate(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [(None, "found NoneType"), (b"a.txt", "found bytes"), ([], "found none"), ([1], "found list"), (7, "found int")],
)
def test_what_is_no_path_is_said(data, message, tmp_path):
    with pytest.raises(OptionError, match=f"data: expected .*{message}"):
        train("toy", data, tmp_path / "m", progress=False)
    assert not (tmp_path / "m").exists()


def test_one_file_for_a_prediction_and_a_picture_that_can_be_drawn(data, tmp_path):
    model = train("toy", data, tmp_path / "m", progress=False, epochs=1)
    with pytest.raises(OptionError, match="data: expected one path, found list"):
        model.predict([data])
    with pytest.raises(OptionError, match=r"x\.csv: expected the name of a picture"):
        model.plot(tmp_path / "x.csv")
