"""A cell's name, and what the source of a cell says about it.

A cell gets its name in its own file, by the decorator `named`. What the registry knows besides, it reads from the
source: the summary and the equations from the docstring, the states from the step. So a new cell is one new file, its
equations stand once, and listing all cells imports none of them, and no torch.

In a docstring the lines indented before "Args:" are the equations. A line that counts for some of the names of the
class only has those at its end, two blanks or more behind the equation:

    φ(a) = tanh(a)        rnn
    φ(a) = max(0, a)      rnn-relu
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["CellEntry", "named", "read_entries"]

Class = TypeVar("Class", bound=type)


@dataclass(frozen=True)
class CellEntry:
    """A cell that has a name.

    Attributes:
        summary: one line about it.
        states: names of its states; the first is the output.
        equations: one step, a line an equation.
        path: where its class stands, "module:Class".
        arguments: constructor arguments beyond the two sizes.
        description: the docstring of its class, up to the arguments.
    """

    summary: str
    states: tuple[str, ...]
    equations: tuple[str, ...]
    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""


def named(name: str, summary: str = "", **arguments: Any) -> Callable[[Class], Class]:
    """Give a cell that comes with Steploom the name that `--cell` takes. A class may have several.

    The decorator leaves the class as it is: it is read in the source. So what stands in it must be literals.

    Args:
        name: the name.
        summary: one line about the cell under this name; the first line of the docstring where this is empty.
        arguments: constructor arguments, beyond the two sizes, of the cell under this name.
    """

    def unchanged(cell: Class) -> Class:
        return cell

    return unchanged


def read_entries(folder: Path, package: str) -> dict[str, CellEntry]:
    """The named cells in the source files of a folder, by name in alphabetical order.

    Args:
        folder: the folder; those below it are not read.
        package: dotted name of the package that it is.
    """
    found = {
        name: entry
        for file in folder.glob("*.py")
        for name, entry in _read_file(file.read_text(encoding="utf-8"), f"{package}.{file.stem}")
    }
    return dict(sorted(found.items()))


def _read_file(source: str, module: str) -> Iterator[tuple[str, CellEntry]]:
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == named.__name__:
                given = [ast.literal_eval(argument) for argument in call.args]
                arguments = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
                yield given[0], _entry(node, f"{module}:{node.name}", arguments, *given)


def _entry(node: ast.ClassDef, path: str, arguments: dict[str, Any], name: str, summary: str = "") -> CellEntry:
    text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "").partition("\nArgs:")[0].rstrip()
    step = next(item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "forward")
    return CellEntry(
        summary=summary or text.partition("\n")[0].removesuffix("."),
        states=tuple(argument.arg for argument in step.args.args[2:]),
        equations=tuple(_equations(text, name)),
        path=path,
        arguments=arguments,
        description=text,
    )


def _equations(text: str, name: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith("    "):
            equation, _, names = line.strip().partition("  ")
            if not names or name in names.strip().split(", "):
                yield equation
