"""Records: exactly the rows of the checkpoint, and a picture that can be read."""

import json

import pytest

from steploom.training.record import Record, panels, shown

ROWS = [
    {
        "epoch": n,
        "step": 10 * n,
        "train_loss": 1 / n,
        "train_perplexity": 3 / n,
        "valid_loss": 1.2 / n,
        "valid_perplexity": 4 / n,
    }
    for n in range(1, 6)
]


def test_rows_beyond_the_checkpoint_are_cut(tmp_path):
    record = Record(tmp_path)
    record.metrics(ROWS)
    record.metrics(ROWS[:2])
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == ROWS[:2]


def test_the_picture_has_a_panel_for_the_loss_and_one_for_each_metric(tmp_path):
    from matplotlib.image import imread

    losses = [{name: value for name, value in row.items() if "perplexity" not in name} for row in ROWS]
    Record(tmp_path).curves(losses)
    one = imread(tmp_path / "curves.png").shape
    Record(tmp_path).curves(ROWS)
    two = imread(tmp_path / "curves.png").shape
    assert one[0] == two[0] >= 400 and two[1] >= 1.5 * one[1]


def test_two_losses_share_no_axis(tmp_path):
    from matplotlib.image import imread

    rows = []
    for n in range(1, 4):
        losses = shown({"train": 2.0 / n, "valid": 0.3 / n}, lambda loss: {"share_wrong": loss}, comparable=False)
        assert losses == {"train_loss": 2.0 / n, "valid_loss": 0.3 / n, "valid_share_wrong": 0.3 / n}
        rows.append({"epoch": n, "step": n} | losses)
    drawn = panels(rows)
    assert {name: list(parts) for name, parts in drawn.items()} == {"loss": ["train"], "share_wrong": ["valid"]}
    assert drawn["share_wrong"]["valid"] == [(n, 0.3 / n) for n in range(1, 4)]
    assert {name: list(parts) for name, parts in panels(ROWS).items()} == {
        "loss": ["train", "valid"],
        "perplexity": ["train", "valid"],
    }
    Record(tmp_path).curves(rows)
    assert imread(tmp_path / "curves.png").shape[1] > 1300


def test_other_processes_write_nothing(tmp_path):
    record = Record(tmp_path, enabled=False)
    record.log("a line")
    record.metrics(ROWS)
    record.curves(ROWS)
    assert not list(tmp_path.iterdir())


def test_a_single_epoch_is_seen(tmp_path):
    from matplotlib.image import imread

    Record(tmp_path).curves(ROWS[:1])
    picture = imread(tmp_path / "curves.png")[..., :3]
    height, width = picture.shape[0], picture.shape[1] // 2
    # The grey of the training curve, outside the legend in the upper right corner.
    grey = abs(picture - [0x7F / 255, 0x8F / 255, 0xA6 / 255]).max(-1) < 0.03
    grey[: height // 3, width // 2 :] = False
    rows, columns = grey[:, :width].nonzero()
    assert len(rows) > 60 and columns.std() < 10


def test_a_full_disk_is_said_as_one(tmp_path, monkeypatch):
    from pathlib import Path

    if not Path("/dev/full").exists():
        pytest.skip("only Linux has a device that is always full")
    (tmp_path / ".curves.png.part").symlink_to("/dev/full")
    with pytest.raises(OSError) as raised:
        Record(tmp_path).curves(ROWS)
    assert raised.value.errno == 28 and raised.value.__context__ is None
