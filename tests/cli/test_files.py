"""Files that a command writes: named before anything slow begins, and there whole or not at all."""

from pathlib import Path

import pytest

from steploom.cli.files import written_whole
from steploom.errors import OptionError
from steploom.tasks.picture import check_picture


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "next.csv"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), written_whole(path) as part:
        part.write_text("half")
        assert part.suffix == ".csv" and path.read_text() == "old"
        raise OSError("full")
    assert [file.name for file in tmp_path.iterdir()] == ["next.csv"] and path.read_text() == "old"
    with written_whole(path) as part:
        part.write_text("new")
    assert [file.name for file in tmp_path.iterdir()] == ["next.csv"] and path.read_text() == "new"


def test_links_and_devices_are_written_through(tmp_path: Path) -> None:
    with written_whole(Path("/dev/null")) as part:
        assert part == Path("/dev/null")
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    with written_whole(tmp_path / "link.csv") as part:
        part.write_text("new")
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "real.csv").read_text() == "new"


def test_pictures_are_told_by_their_name(tmp_path: Path) -> None:
    for name in ("a.png", "a.PDF", "a.svg", "a.jpg", "a"):
        check_picture(tmp_path / name)
    with pytest.raises(OptionError, match=r"a.txt: expected the name of a picture, which ends in .png, .pdf, .svg"):
        check_picture(tmp_path / "a.txt")
