"""The model directory: made before training, published after it, verified whenever it is read."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steploom.errors import ModelDirectoryError
from steploom.training.atomic import write_atomically

__all__ = [
    "FORMAT",
    "RUN",
    "StoredModel",
    "check_output",
    "create",
    "discard",
    "file_digest",
    "publish",
    "read",
    "read_run",
    "rewrite_run",
]

FORMAT = 1
RUN = "run.json"
_MANIFEST, _CONFIG, _WEIGHTS = "model.json", "config.yaml", "weights.safetensors"
_RECORDS = ("metrics.jsonl", "curves.png", "train.log", "plot.png")
_LARGEST_TEXT = 256 * 2**20


@dataclass(frozen=True)
class StoredModel:
    """A model directory whose files were verified.

    Attributes:
        path: the directory.
        manifest: the content of model.json.
        options: the content of config.yaml.
        artefacts: what the task learnt from its training data, NAME to the content of NAME.json.
    """

    path: Path
    manifest: Mapping[str, Any]
    options: Mapping[str, Any]
    artefacts: dict[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The name of the task."""
        return str(self.manifest["task"])

    @property
    def weights(self) -> Path:
        """The file of the weights."""
        return self.path / _WEIGHTS


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
    if not force:
        how = "" if (path / _MANIFEST).exists() else f", `steploom resume {path}` goes on with it,"
        raise ModelDirectoryError(
            f"{path}: there is a model in this directory already{how or '.'} --force replaces it, "
            "or give another path with -o"
        )


def create(path: Path, run: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Makes the directory of a training; an older model in it is removed (see `check_output`).

    Args:
        path: the directory.
        run: what `resume` needs to read the data again, for last/run.json.
        options: every option, for config.yaml.
    """
    if path.exists():
        _remove_model(path)
    (path / "last").mkdir(parents=True, exist_ok=True)
    write_atomically(path / "last" / RUN, _json(run))
    write_atomically(path / _CONFIG, _yaml(options))


def rewrite_run(path: Path, run: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Puts new options into last/run.json and, where no published model would be contradicted, into config.yaml."""
    write_atomically(path / "last" / RUN, _json(run))
    if not (path / _MANIFEST).exists():
        write_atomically(path / _CONFIG, _yaml(options))


def discard(path: Path) -> None:
    """Removes what `create` made, where training failed before it had anything to keep."""
    _remove_model(path)
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
            "last/, which resuming needs, was deleted" if (path / _MANIFEST).exists() else "no Steploom model directory"
        )
        raise ModelDirectoryError(f"{path}: {why}; there is no training to go on with")
    run = _read_json(file)
    _check_format(file, run)
    if not isinstance(run.get("task"), str) or not isinstance(run.get("options"), dict):
        raise ModelDirectoryError(f"{file}: damaged; the training cannot go on")
    return run


def publish(
    path: Path,
    manifest: Mapping[str, Any],
    options: Mapping[str, Any],
    artefacts: Mapping[str, Any],
    weights: Mapping[str, Any],
) -> None:
    """Writes a complete model into `path`.

    model.json goes first and comes last, so that a directory with it is complete.

    Args:
        path: the directory, made if it is not there.
        manifest: what model.json says beside the format and the files.
        options: every option.
        artefacts: NAME to JSON-able content.
        weights: name to tensor on the CPU.
    """
    from safetensors.torch import save

    path.mkdir(parents=True, exist_ok=True)
    (path / _MANIFEST).unlink(missing_ok=True)
    contents = {
        _CONFIG: _yaml(options),
        _WEIGHTS: save({k: v.detach().contiguous().clone() for k, v in weights.items()}),
    }
    for name, artefact in artefacts.items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", name) or name == "model":
            raise ValueError(f"an artefact cannot be called {name!r}")
        contents[f"{name}.json"] = _json(artefact)
    files = {}
    for name, content in contents.items():
        write_atomically(path / name, content)
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    first = {"format": FORMAT, **_versions()}
    whole = {**first, **manifest, **first, "files": files}
    write_atomically(path / _MANIFEST, _json(whole))


def read(path: Path) -> StoredModel:
    """Reads and verifies a model directory; the weights are verified, not read.

    Raises:
        ModelDirectoryError: it is missing, incomplete, damaged, of a newer format, or names files outside itself.
    """
    if not path.exists():
        raise ModelDirectoryError(f"{path}: there is no such model directory")
    if not path.is_dir():
        raise ModelDirectoryError(f"{path}: expected a model directory, found a file")
    if not (path / _MANIFEST).exists():
        if (path / "last" / RUN).exists():
            raise ModelDirectoryError(
                f"{path}: its training was interrupted before there was a model. "
                f"`steploom resume {path}` goes on with it"
            )
        raise ModelDirectoryError(f"{path}: no Steploom model directory, model.json is missing")
    file = path / _MANIFEST
    manifest = _read_json(file)
    _check_format(file, manifest)
    files = manifest.get("files")
    if not isinstance(manifest.get("task"), str) or not isinstance(files, dict):
        raise ModelDirectoryError(f"{file}: damaged, it lacks the task or the list of files")
    for needed in (_CONFIG, _WEIGHTS):
        if needed not in files:
            raise ModelDirectoryError(f"{file}: damaged, it does not list {needed}")
    for name, facts in files.items():
        _verify(path, name, facts)
    options = _read_yaml(path / _CONFIG)
    artefacts = {name[:-5]: _read_any_json(path / name) for name in files if name.endswith(".json")}
    return StoredModel(path, manifest, options, artefacts)


def _verify(path: Path, name: str, facts: Any) -> None:
    file = path / name
    if not _is_plain(name):
        raise ModelDirectoryError(
            f"{path / _MANIFEST}: it names a file outside the directory: {name!r}. Do not use this model"
        )
    if not file.exists() and not file.is_symlink():
        raise ModelDirectoryError(f"{file}: missing. Copy the whole directory again")
    if file.resolve().parent != path.resolve() or not file.is_file():
        raise ModelDirectoryError(f"{file}: this leads outside the model directory. Do not use this model")
    size = facts.get("bytes") if isinstance(facts, dict) else None
    found = file.stat().st_size
    if found != size:
        raise ModelDirectoryError(f"{file}: damaged, expected {size} bytes, found {found}. Copy the directory again")
    if file_digest(file) != facts.get("sha256"):
        raise ModelDirectoryError(
            f"{file}: damaged, its content is not what was saved (sha256). Copy the directory again"
        )


def _is_plain(name: str) -> bool:
    return Path(name).name == name and name not in ("", ".", "..") and "\\" not in name and ":" not in name


def file_digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_format(file: Path, content: Mapping[str, Any]) -> None:
    found = content.get("format")
    if not isinstance(found, int) or isinstance(found, bool):
        raise ModelDirectoryError(f"{file}: no file of Steploom, or damaged")
    if found > FORMAT:
        raise ModelDirectoryError(
            f"{file}: written by Steploom {content.get('steploom', '?')} in format {found}; "
            f"this is Steploom {_versions()['steploom']}, which reads formats up to {FORMAT}. Update Steploom"
        )


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("steploom", "torch")}


def _is_empty(path: Path) -> bool:
    # A process killed while it made the directory leaves no more than an empty last/.
    rest = [entry for entry in path.iterdir() if entry.name != "last"]
    last = path / "last"
    return not rest and (not last.exists() or (last.is_dir() and all(e.name.startswith(".") for e in last.iterdir())))


def _is_ours(path: Path) -> bool:
    for file in (path / _MANIFEST, path / "last" / RUN):
        try:
            if "steploom" in _read_json(file):
                return True
        except ModelDirectoryError:
            continue
    return False


def _remove_model(path: Path) -> None:
    """Removes the files of a model and leaves all others."""
    listed: Any = None
    if (path / _MANIFEST).exists():
        listed = _read_json(path / _MANIFEST).get("files")
        (path / _MANIFEST).unlink()
    names = [name for name in listed if _is_plain(name)] if isinstance(listed, dict) else []
    for name in (*names, _CONFIG, _WEIGHTS, *_RECORDS):
        (path / name).unlink(missing_ok=True)
        (path / f".{name}.part").unlink(missing_ok=True)
    if (path / "last").is_dir() and not (path / "last").is_symlink():
        shutil.rmtree(path / "last")


def _json(content: Any) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def _yaml(options: Mapping[str, Any]) -> bytes:
    import yaml

    return yaml.safe_dump(
        json.loads(json.dumps(dict(options), default=str)), sort_keys=False, allow_unicode=True
    ).encode()


def _read_any_json(path: Path) -> Any:
    try:
        if path.stat().st_size > _LARGEST_TEXT:
            raise ModelDirectoryError(f"{path}: larger than any file of this kind can be; damaged")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ModelDirectoryError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelDirectoryError(f"{path}: damaged, this is no JSON") from error


def _read_json(path: Path) -> dict[str, Any]:
    content = _read_any_json(path)
    if not isinstance(content, dict):
        raise ModelDirectoryError(f"{path}: damaged, expected an object")
    return content


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_bytes())
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ModelDirectoryError(f"{path}: damaged, this is no YAML") from error
    if not isinstance(content, dict):
        raise ModelDirectoryError(f"{path}: damaged, expected one option a line")
    return content
