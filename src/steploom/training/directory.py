"""The model directory: published whole, and verified whenever it is read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steploom.errors import ModelDirectoryError
from steploom.training.atomic import write_atomically
from steploom.training.command import command
from steploom.training.documents import json_bytes, read_any_json, read_json, read_yaml, yaml_bytes

__all__ = [
    "CONFIG",
    "FORMAT",
    "MANIFEST",
    "RUN",
    "WEIGHTS",
    "StoredModel",
    "check_format",
    "file_digest",
    "is_plain",
    "publish",
    "read",
]

FORMAT = 1
MANIFEST, CONFIG, WEIGHTS = "model.json", "config.yaml", "weights.safetensors"
RUN = "run.json"
"""What `resume` reads in last/ of the directory."""


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
        return self.path / WEIGHTS


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
    (path / MANIFEST).unlink(missing_ok=True)
    contents = {
        CONFIG: yaml_bytes(options),
        WEIGHTS: save({k: v.detach().contiguous().clone() for k, v in weights.items()}),
    }
    for name, artefact in artefacts.items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", name) or name == "model":
            raise ValueError(f"an artefact cannot be called {name!r}")
        contents[f"{name}.json"] = json_bytes(artefact)
    files = {}
    for name, content in contents.items():
        write_atomically(path / name, content)
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    first = {"format": FORMAT, **_versions()}
    whole = {**first, **manifest, **first, "files": files}
    write_atomically(path / MANIFEST, json_bytes(whole))


def read(path: Path) -> StoredModel:
    """Reads and verifies a model directory; the weights are verified, not read.

    Raises:
        ModelDirectoryError: it is missing, incomplete, damaged, of a newer format, or names files outside itself.
    """
    if not path.exists():
        raise ModelDirectoryError(f"{path}: there is no such model directory")
    if not path.is_dir():
        raise ModelDirectoryError(f"{path}: expected a model directory, found a file")
    if not (path / MANIFEST).exists():
        if (path / "last" / RUN).exists():
            raise ModelDirectoryError(
                f"{path}: its training was interrupted before there was a model, or still runs. "
                f"`{command('resume', path)}` goes on with it"
            )
        raise ModelDirectoryError(f"{path}: no Steploom model directory, model.json is missing")
    file = path / MANIFEST
    manifest = read_json(file)
    check_format(file, manifest)
    files = manifest.get("files")
    if not isinstance(manifest.get("task"), str) or not isinstance(files, dict):
        raise ModelDirectoryError(f"{file}: damaged, it lacks the task or the list of files")
    for needed in (CONFIG, WEIGHTS):
        if needed not in files:
            raise ModelDirectoryError(f"{file}: damaged, it does not list {needed}")
    for name, facts in files.items():
        _verify(path, name, facts)
    options = read_yaml(path / CONFIG)
    artefacts = {name[:-5]: read_any_json(path / name) for name in files if name.endswith(".json")}
    return StoredModel(path, manifest, options, artefacts)


def _verify(path: Path, name: str, facts: Any) -> None:
    file = path / name
    if not is_plain(name):
        raise ModelDirectoryError(
            f"{path / MANIFEST}: it names a file outside the directory: {name!r}. Do not use this model"
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


def is_plain(name: str) -> bool:
    """Whether `name` names a file in the directory itself."""
    return Path(name).name == name and name not in ("", ".", "..") and "\\" not in name and ":" not in name


def file_digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_format(file: Path, content: Mapping[str, Any]) -> None:
    """Refuses the content of a file that no Steploom wrote, or a newer one.

    Raises:
        ModelDirectoryError: as said.
    """
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
