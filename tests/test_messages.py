"""What stands below the command line knows nothing of its options: cells, layers and networks name their arguments."""

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "steploom"
FOLDERS = ("cells", "program", "engine", "layers", "testing", "decoding", "models")
FLAG = re.compile(r"(?<![\w-])--[a-z]")


def flags(source: str) -> list[int]:
    """The lines of the strings of a file, but for docstrings, that hold an option of the command line."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return [n.lineno for n in strings if id(n) not in docstrings and FLAG.search(str(n.value))]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_string_names_an_option_of_the_command_line(folder: str) -> None:
    files = sorted((SOURCE / folder).rglob("*.py"))
    assert files
    assert {str(path): found for path in files if (found := flags(path.read_text(encoding="utf-8")))} == {}


def test_the_checker_sees_them() -> None:
    assert flags('raise E(f"--head: expected {x}")') == flags('say("Take --head direct")') == [1]
    assert flags('"""The name that `--head` takes."""\nraise E("head: a dash -- and ---")') == []
