"""The files that a training reads: remembered, so that going on with other data is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steploom.errors import DataError
from steploom.training.directory import file_digest

__all__ = ["fingerprint", "is_among", "is_fingerprint", "unchanged"]

_FACTS = {"path": str, "absolute": str, "bytes": int, "sha256": str}


def fingerprint(file: Path) -> dict[str, Any]:
    """Where a file stands, its size and its sha256, for last/run.json."""
    return {
        "path": str(file),
        "absolute": str(file.resolve()),
        "bytes": file.stat().st_size,
        "sha256": file_digest(file),
    }


def is_fingerprint(entry: object) -> bool:
    """Whether `entry`, read from a file, is what `fingerprint` gives."""
    return isinstance(entry, dict) and all(isinstance(entry.get(name), kind) for name, kind in _FACTS.items())


def is_among(file: Path, entries: object) -> bool:
    """Whether `file` has the content of one of `entries`, each with "bytes" and "sha256"; others count for nothing."""
    known = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    if not file.is_file() or file.stat().st_size not in [entry.get("bytes") for entry in known]:
        return False
    return file_digest(file) in [entry.get("sha256") for entry in known]


def unchanged(entry: dict[str, Any]) -> Path:
    """The file that `fingerprint` described.

    Raises:
        DataError: it is gone, or has changed.
    """
    found = next((p for p in (Path(entry["absolute"]), Path(entry["path"])) if p.is_file()), None)
    if found is None:
        raise DataError(
            "this file, which the training reads, is gone", file=entry["path"], hint="Put it back, or train anew"
        )
    if found.stat().st_size != entry["bytes"] or file_digest(found) != entry["sha256"]:
        raise DataError(
            "this file has changed since the training began, so that it cannot go on exactly",
            file=entry["path"],
            hint="Put the old file back, or train anew",
        )
    return found
