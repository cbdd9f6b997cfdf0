"""Trees in brackets: a tree a line, as the Stanford Sentiment Treebank has them, or one over several lines that are
indented, as the Penn Treebank has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from steploom.data.labelled.tree import Tree
from steploom.data.text.files import read_text
from steploom.errors import DataError

__all__ = ["begins_like_trees", "parse_tree", "parse_trees", "read_trees", "written_tree"]

# Words of the treebank, such as "8 1/2", hold spaces that do not break; beside brackets they are spaces like any other.
_WORD = r"[^\s()]+(?:[^\S \t\n\f\v]+[^\s()]+)*"
_TOKEN = re.compile(rf"[()]|{_WORD}")
_NESTED = re.compile(rf"\(\s*(?:{_WORD}\s*)?\(")
_GOES_ON = re.compile(r"[^\n]*\n[^\S\n]+\(")
_LEAF = re.compile(rf"\(-?\d+\s+{_WORD}\s*\)")
_ESCAPED = {
    "-LRB-": "(",
    "-RRB-": ")",
    "-LSB-": "[",
    "-RSB-": "]",
    "-LCB-": "{",
    "-RCB-": "}",
}
_BRACKETS = {bracket: name for name, bracket in _ESCAPED.items()}
_UNREADABLE = re.compile(r"[\s()]")
_EXAMPLE = "Expected a tree such as (3 (2 It) (4 works))"


def read_trees(path: Path) -> list[Tree]:
    """The trees of a file, UTF-8, gzipped or not, as `parse_trees` reads them.

    Raises:
        DataError: the file cannot be read, or a line is no tree; the message names row and column.
    """
    return parse_trees(read_text(path).split("\n"), path)


def parse_trees(lines: Sequence[str], file: Path | None = None) -> list[Tree]:
    """The trees of some lines; blank lines do not count.

    Each begins a line, and goes on in those that follow while it has open brackets and they begin with a blank. That
    they must is why an error stays where it is made: it does not reach the next tree.

    Args:
        lines: the lines, from the first of the file on.
        file: where they stand, for messages.

    Raises:
        DataError: a line is no tree.
    """
    found: list[tuple[int, list[str]]] = []
    depth = 0
    for row, line in enumerate(lines, 1):
        if not line.strip():
            depth = 0
            continue
        if depth <= 0 or not line[0].isspace():
            found.append((row, []))
            depth = 0
        found[-1][1].append(line)
        depth += line.count("(") - line.count(")")
    return [parse_tree("\n".join(text), file, row) for row, text in found]


def parse_tree(line: str, file: Path | None = None, row: int = 1) -> Tree:
    """The tree that a line, or several, writes.

    A bracket holds its label and then its children, which are brackets or words; one that holds a label and a single
    word is a leaf with that label, and one that holds a single word is a leaf without. A bracket that begins with a
    bracket has no label, and `(2 (It))` is `(2 It)`. In words, `-LRB-` is an opening bracket, and so on, and `\\/` is a
    slash. A space that does not break, or of another script, belongs to the word that it stands within; beside brackets
    and other spaces it is a space.

    The depth of a tree is limited by memory alone.

    Args:
        line: the text.
        file, row: where it stands, for messages; the row of its first line.

    Raises:
        DataError: it is no tree.
    """
    labels: list[str | None] = []
    words: list[str | None] = []
    parents: list[int] = []
    # Of each bracket that is open: its column, and what it holds so far. A word is a node already, but the first one,
    # which may be the label.
    opened: list[tuple[int, list[int | str]]] = []

    def refuse(what: str, column: int) -> NoReturn:
        before = line[:column]
        place = str(column - before.rfind("\n"))
        raise DataError(what, file=file, row=row + before.count("\n"), column=place, hint=_EXAMPLE)

    def add(word: str | None) -> int:
        labels.append(None)
        words.append(word)
        parents.append(-1)
        return len(parents) - 1

    done = False
    for match in _TOKEN.finditer(line):
        token = match[0]
        if done:
            refuse(f"found '{token:.20}' behind the end of the tree; a line holds one tree", match.start())
        if token == "(":
            opened.append((match.start(), []))
        elif not opened:
            refuse(f"expected an opening bracket, found '{token:.20}'", match.start())
        elif token != ")":
            items = opened[-1][1]
            items.append(add(_unescaped(token)) if items else token)
        else:
            start, items = opened.pop()
            node = _closed(items, labels, words, parents, add)
            if node is None:
                refuse("the bracket that begins here is empty", start)
            if opened:
                opened[-1][1].append(node)
            else:
                done = True
    if opened:
        some = "a bracket that is" if len(opened) == 1 else f"{len(opened):,} brackets that are"
        noun = "tree" if "\n" in line else "line"
        refuse(f"the {noun} ends within {some} not closed; the last of them begins here", opened[-1][0])
    if not parents:
        refuse("the line holds no tree", 0)
    return Tree(labels, words, parents, row)


def begins_like_trees(text: str) -> bool:
    """Whether the first line of a text that is not blank looks like a tree, or the beginning of one; `text` may end
    within it.

    It begins with a bracket that holds another one behind its label, or a number and a word.
    """
    text = text.lstrip()
    first, end, _ = text.partition("\n")
    first = first.rstrip()
    if _NESTED.match(text) is not None and _GOES_ON.match(text) is not None:
        return True
    nested = _NESTED.match(first) is not None and (first.endswith(")") or not end)
    return nested or _LEAF.fullmatch(first) is not None


def written_tree(tree: Tree, labels: Sequence[str]) -> str:
    """The tree in brackets with other labels, one a node; `parse_tree` reads it again.

    A label that holds a space or a bracket cannot be read again: these become `_`.
    """
    pieces: list[str] = []
    below: list[list[int]] = [[] for _ in labels]
    for child, parent in enumerate(tree.parents[:-1]):
        below[parent].append(child)
    stack: list[int | None] = [len(tree) - 1]
    while stack:
        node = stack.pop()
        if node is None:
            pieces.append(")")
            continue
        word = tree.words[node]
        pieces.append(f"{' ' if pieces else ''}({_UNREADABLE.sub('_', labels[node])}")
        stack.append(None)
        if word is not None:
            pieces.append(f" {_escaped(word)}")
        stack += reversed(below[node])
    return "".join(pieces)


def _closed(
    items: list[int | str],
    labels: list[str | None],
    words: list[str | None],
    parents: list[int],
    add: Callable[[str | None], int],
) -> int | None:
    """The node of a bracket that holds `items`; None where it holds nothing."""
    if not items:
        return None
    first, rest = items[0], items[1:]
    if isinstance(first, str) and not rest:
        return add(_unescaped(first))
    if isinstance(first, str) and len(rest) == 1:
        only = int(rest[0])
        if words[only] is not None and labels[only] is None:
            # "(2 It)": the word was taken for a child without a label.
            labels[only] = first
            return only
    node = add(None)
    labels[node] = first if isinstance(first, str) else None
    for child in rest if isinstance(first, str) else items:
        parents[int(child)] = node
    return node


def _escaped(word: str) -> str:
    return _BRACKETS.get(word, word.replace("/", "\\/").replace("*", "\\*"))


def _unescaped(word: str) -> str:
    if word.startswith("-") and word in _ESCAPED:
        return _ESCAPED[word]
    return word.replace("\\/", "/").replace("\\*", "*") if "\\" in word else word
