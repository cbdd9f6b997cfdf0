"""The directory of a training: taken, begun, given up, and found again by `resume`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steploom.errors import ModelDirectoryError
from steploom.training.atomic import write_atomically
from steploom.training.command import command
from steploom.training.directory import CONFIG, MANIFEST, RUN, WEIGHTS, check_format, is_plain
from steploom.training.documents import json_bytes, read_json, yaml_bytes
from steploom.training.lock import LOCK
from steploom.training.sources import is_fingerprint

__all__ = ["check_output", "create", "discard", "read_run", "rewrite_run"]

_RECORDS = ("metrics.jsonl", "curves.png", "train.log", "plot.png")


def check_output(path: Path, force: bool) -> None:
    """Refuses an output directory that holds something already.

    With `force`, a Steploom model directory is accepted, and nothing else: other people's files are never replaced.

    Raises:
        ModelDirectoryError: the path cannot be used.
    """
    if path.is_symlink() and not path.exists():
        raise ModelDirectoryError(f"{path}: this link leads nowhere. Give another directory with -o")
    if not path.exists():
        return
    if not path.is_dir():
        raise ModelDirectoryError(
            f"{path}: expected a directory for the model, found a file. Give another path with -o"
        )
    if _is_empty(path):
        return
    if not _is_ours(path):
        raise ModelDirectoryError(
            f"{path}: this directory exists and is no Steploom model; it stays as it is. Give another path with -o"
        )
    if force:
        return
    if not (path / MANIFEST).exists():
        raise ModelDirectoryError(
            f"{path}: a training was begun in this directory and has no model yet: it was interrupted, or still runs. "
            f"`{command('resume', path)}` goes on with it; --force begins anew, or give another path with -o"
        )
    raise ModelDirectoryError(
        f"{path}: there is a model in this directory already. --force replaces it, or give another path with -o"
    )


def create(path: Path, run: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Makes the directory of a training; an older model in it is removed (see `check_output`).

    The caller holds the lock on its last/, which stays.

    Args:
        path: the directory.
        run: what `resume` needs to read the data again, for last/run.json.
        options: every option, for config.yaml.
    """
    if path.exists():
        _remove_model(path)
    (path / "last").mkdir(parents=True, exist_ok=True)
    write_atomically(path / "last" / RUN, json_bytes(run))
    write_atomically(path / CONFIG, yaml_bytes(options))


def rewrite_run(path: Path, run: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Puts new options into last/run.json and, where no published model would be contradicted, into config.yaml."""
    write_atomically(path / "last" / RUN, json_bytes(run))
    if not (path / MANIFEST).exists():
        write_atomically(path / CONFIG, yaml_bytes(options))


def discard(path: Path) -> None:
    """Removes what `create` made, where training failed before it had anything to keep."""
    _remove_model(path)
    if (path / "last").is_dir() and not (path / "last").is_symlink():
        shutil.rmtree(path / "last")
    if path.exists() and not any(path.iterdir()):
        path.rmdir()


def read_run(path: Path) -> dict[str, Any]:
    """What `create` wrote into last/run.json.

    Raises:
        ModelDirectoryError: there is no training to go on with.
    """
    if not path.is_dir():
        raise ModelDirectoryError(
            f"{path}: there is no such directory" if not path.exists() else f"{path}: no directory"
        )
    file = path / "last" / RUN
    if not file.exists():
        why = (
            "last/, which resuming needs, was deleted" if (path / MANIFEST).exists() else "no Steploom model directory"
        )
        raise ModelDirectoryError(f"{path}: {why}; there is no training to go on with")
    run = read_json(file)
    check_format(file, run)
    for name, kind in (("task", str), ("options", dict), ("files", dict)):
        if not isinstance(run.get(name), kind):
            raise ModelDirectoryError(f"{file}: damaged, its '{name}' cannot be read; the training cannot go on")
    further = run.get("further", {})
    if not isinstance(further, dict) or not all(is_fingerprint(entry) for entry in further.values()):
        raise ModelDirectoryError(f"{file}: damaged, its further files cannot be read; train anew")
    for part in ("train", "valid", "test"):
        entries = run["files"].get(part)
        if not isinstance(entries, list) or not all(is_fingerprint(entry) for entry in entries):
            raise ModelDirectoryError(f"{file}: damaged, its files of the part '{part}' cannot be read; train anew")
    if not run["files"]["train"]:
        raise ModelDirectoryError(f"{file}: damaged, it names no training file; train anew")
    return run


def _is_empty(path: Path) -> bool:
    # A process killed while it made the directory leaves no more than an empty last/.
    rest = [entry for entry in path.iterdir() if entry.name != "last"]
    last = path / "last"
    return not rest and (not last.exists() or (last.is_dir() and all(e.name.startswith(".") for e in last.iterdir())))


def _is_ours(path: Path) -> bool:
    for file in (path / MANIFEST, path / "last" / RUN):
        try:
            if "steploom" in read_json(file):
                return True
        except ModelDirectoryError:
            continue
    return False


def _remove_model(path: Path) -> None:
    """Removes the files of a model and leaves all others."""
    listed: Any = None
    if (path / MANIFEST).exists():
        listed = read_json(path / MANIFEST).get("files")
        (path / MANIFEST).unlink()
    names = [name for name in listed if is_plain(name)] if isinstance(listed, dict) else []
    for name in (*names, CONFIG, WEIGHTS, *_RECORDS):
        (path / name).unlink(missing_ok=True)
        (path / f".{name}.part").unlink(missing_ok=True)
    last = path / "last"
    if last.is_dir() and not last.is_symlink():
        for entry in last.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != LOCK:
                entry.unlink()
