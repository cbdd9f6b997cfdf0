"""`__all__` is the list of what other modules use: a name that one takes from another stands in it."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "steploom"
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def module_of(path: Path) -> str:
    """steploom.cells.lstm of src/steploom/cells/lstm.py; a folder's name of its __init__.py."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def listed(source: str) -> set[str]:
    """What a module has in its `__all__`."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def taken(source: str) -> Iterator[tuple[str, str]]:
    """Module and name of each `from steploom.x import y`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("steploom."):
            yield from ((node.module, alias.name) for alias in node.names)


def test_what_a_module_takes_from_another_is_listed_there() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in FILES}
    known = {module_of(path): listed(source) for path, source in sources.items()}
    missing = {
        f"{module}.{name}, taken by {module_of(path)}"
        for path, source in sources.items()
        for module, name in taken(source)
        if f"{module}.{name}" not in known and module in known and name not in known[module]
    }
    assert missing == set()


def test_the_checker_sees_them() -> None:
    assert list(taken("def f():\n    from steploom.a.b import c, d as e")) == [
        ("steploom.a.b", "c"),
        ("steploom.a.b", "d"),
    ]
    assert listed('__all__ = ["a", "b"]') == {"a", "b"}
