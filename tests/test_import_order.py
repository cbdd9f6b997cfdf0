"""Imports run only downwards in the order of the folders, inside functions too."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "steploom"
ORDER = [
    "errors",
    "native",
    "cells",
    "program",
    "engine",
    "layers",
    "testing",
    "decoding",
    "models",
    "data",
    "training",
    "tasks",
    "cli",
    "__main__",
]
MODULE_IN_TEXT = re.compile(r"steploom(\.[a-z_]\w*)+(:\w+)?")


def part_of(module: str) -> str:
    """steploom.cells.lstm is a part of cells."""
    return module.split(".")[1]


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and module of each import of our own, those by import_module("steploom...") among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE_IN_TEXT.fullmatch(node.value):
            yield node.lineno, node.value.split(":")[0]


def faults(part: str, source: str) -> list[str]:
    """What is wrong with the imports of a file that belongs to `part`."""
    found = []
    for line, module in imports(ast.parse(source)):
        if module.startswith("."):
            found.append(f"line {line}: relative import; write steploom.x.y")
        elif module == "steploom":
            found.append(f"line {line}: import the module that defines the name, not the package's flat names")
        elif module == "steploom._native":
            found += [] if part == "native" else [f"line {line}: only native.py loads the extension module"]
        elif module.startswith("steploom.") and ORDER.index(part_of(module)) > ORDER.index(part):
            found.append(f"line {line}: {part} imports {module}, which stands later in the order")
    return found


FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_only_downwards(path: Path) -> None:
    part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    assert part in ORDER, f"{part} has no place in the order: add it here and to ARCHITECTURE.md"
    assert faults(part, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "from steploom.tasks.task import Task",
        "import steploom.cli.main",
        "def f():\n    from steploom.training.fit import fit",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import steploom.data.series.series",
        "import_module('steploom.tasks.trained')",
        "from . import lstm",
        "from steploom import LSTM",
        "import steploom._native",
    ],
)
def test_the_checker_sees_a_wrong_import(source: str) -> None:
    assert len(faults("layers", source)) == 1


def test_the_checker_accepts_what_is_right() -> None:
    assert faults("layers", "import torch\nfrom steploom.cells.cell import Cell\nfrom steploom.layers.x import y") == []
