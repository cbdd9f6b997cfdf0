"""JSON and YAML files of a model directory: what cannot be read is one message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steploom.errors import ModelDirectoryError

__all__ = ["json_bytes", "read_any_json", "read_json", "read_yaml", "yaml_bytes"]

_LARGEST, _LARGEST_INDENTED = 256 * 2**20, 2**20


def json_bytes(content: Any) -> bytes:
    """`content` as the text of a JSON file: for people to read, unless it is too much for them."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    # Indented text is written in Python, and many numbers in their own lines take minutes and twice the space.
    if len(text) <= _LARGEST_INDENTED:
        text = json.dumps(content, ensure_ascii=False, indent=1)
    return (text + "\n").encode()


def yaml_bytes(options: Mapping[str, Any]) -> bytes:
    """Options as the text of a YAML file, in their order."""
    import yaml

    return yaml.safe_dump(
        json.loads(json.dumps(dict(options), default=str)), sort_keys=False, allow_unicode=True
    ).encode()


def read_any_json(path: Path) -> Any:
    """The content of a JSON file, of any size: what thousands of series leave behind is large.

    Raises:
        ModelDirectoryError: it cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ModelDirectoryError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelDirectoryError(f"{path}: damaged, this is no JSON") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file that is small.

    Raises:
        ModelDirectoryError: it cannot be read, is no object, or is larger than 256 MiB.
    """
    if path.exists() and path.stat().st_size > _LARGEST:
        raise ModelDirectoryError(f"{path}: larger than any file of this kind can be; damaged")
    content = read_any_json(path)
    if not isinstance(content, dict):
        raise ModelDirectoryError(f"{path}: damaged, expected an object")
    return content


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ModelDirectoryError: it cannot be read, or is no mapping.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_bytes())
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ModelDirectoryError(f"{path}: damaged, this is no YAML") from error
    if not isinstance(content, dict):
        raise ModelDirectoryError(f"{path}: damaged, expected one option a line")
    return content
