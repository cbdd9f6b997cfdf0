"""The cells by the name that `--cell` takes. Listing them imports no torch; `make_cell` does."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from steploom.cells.naming import CellEntry, read_entries
from steploom.errors import CellError, nearest

if TYPE_CHECKING:
    from steploom.cells.cell import Cell

__all__ = ["CELLS", "CellEntry", "cell_names", "make_cell"]


CELLS: dict[str, CellEntry] = read_entries(Path(__file__).parent, "steploom.cells")


def cell_names() -> tuple[str, ...]:
    """The names of the cells that come with Steploom, in alphabetical order."""
    return tuple(CELLS)


def make_cell(name_or_path: str, input_size: int, hidden_size: int) -> Cell:
    """Build a cell from its name, or from the import path of a user's own class.

    Args:
        name_or_path: one of `cell_names()`, or "package.module:Class", which is imported with the current directory
            on the import path. The class is called with `input_size` and `hidden_size`.
        input_size: number of features of an input step.
        hidden_size: number of units.

    Raises:
        CellError: the name is unknown, the import fails, or the class is not a cell that keeps its declaration.
    """
    module, _, class_name = name_or_path.partition(":")
    if name_or_path not in CELLS and not (module and class_name):
        hint = nearest(name_or_path, CELLS) or f" Choose one of {', '.join(CELLS)}."
        raise CellError(f"No cell is called '{name_or_path}'.{hint} A cell of your own is named package.module:Class.")

    _refuse_file(name_or_path)
    from steploom.cells.cell import check_declaration, is_size, probe

    for argument, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not is_size(size):
            raise CellError(f"Cell '{name_or_path}': {argument} must be a whole number of at least 1, found {size!r}.")
    if entry := CELLS.get(name_or_path):
        module, _, class_name = entry.path.partition(":")
        built = getattr(importlib.import_module(module), class_name)(input_size, hidden_size, **entry.arguments)
        return check_declaration(built)
    with _current_directory_importable(), _reporting(name_or_path):
        found = _find_class(name_or_path)
        try:
            inspect.signature(found).bind(input_size=input_size, hidden_size=hidden_size)
        except TypeError as error:
            raise CellError(
                f"Cell '{name_or_path}' cannot be built from input_size and hidden_size: {error}. "
                "Give its __init__ these two arguments, and defaults to all others."
            ) from error
        cell = check_declaration(found(input_size=input_size, hidden_size=hidden_size))
        probe(cell)
    return cell


def _refuse_file(path: str) -> None:
    """A module is named as `import` names it."""
    module, _, class_name = path.partition(":")
    parts = PurePosixPath(module.replace("\\", "/").removesuffix(".py")).parts
    if not class_name or parts == (module,):
        return
    folder = str(PurePosixPath(*parts[:-1])) if parts[1:] else ""
    hint = f" Did you mean '{'.'.join(parts)}:{class_name}'?"
    if not all(name.isidentifier() for part in parts for name in part.split(".")):
        hint = f" Name it '{parts[-1]}:{class_name}', and start in {folder or 'its folder'}."
    raise CellError(f"Cell '{path}': expected a module as `import` names it, found a file.{hint}")


def _find_class(path: str) -> type[Cell]:
    from steploom.cells.cell import Cell

    module_name, _, class_name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise
        raise CellError(
            f"Cell '{path}': there is no module '{error.name}' in {Path.cwd()} or among the installed packages."
        ) from error
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Cell)):
        own = [name for name, item in vars(module).items() if isinstance(item, type) and issubclass(item, Cell)]
        own = [name for name in own if getattr(module, name) is not Cell]
        there = f"The cells in '{module_name}' are: {', '.join(own)}." if own else f"'{module_name}' holds no cell."
        what = "is not a class derived from steploom.Cell" if found is not None else "does not exist"
        raise CellError(f"Cell '{path}': '{class_name}' {what}. {there}{nearest(class_name, own)}")
    return found


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    """Python started by an installed command does not look into the current directory."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


@contextmanager
def _reporting(path: str) -> Iterator[None]:
    """Turn what goes wrong in a user's module into a `CellError` that names the line."""
    try:
        yield
    except CellError:
        raise
    except Exception as error:
        raise CellError(f"Cell '{path}' failed{_place(error)}: {type(error).__name__}: {error}") from error


def _place(error: Exception) -> str:
    """The innermost line that is the user's own, in words."""
    if isinstance(error, SyntaxError):
        return ""
    import torch

    others = ("<", str(Path(__file__).parents[1]), str(Path(torch.__file__).parent))
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(others)]
    return f" in {own[-1].filename}, line {own[-1].lineno}" if own else ""
