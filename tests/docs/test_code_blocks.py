"""Every code block of README, docs and CONTRIBUTING runs.

The blocks of a page run one after the other in one temporary folder: `python` blocks in one namespace, `sh` and
`console` blocks in a shell (of a `console` block, the lines behind `$ `). A block that is not run says why above it:

    <!-- not run: takes an hour -->

Data that a page needs and does not make itself lies in the folder already: see `files.py`.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.docs.files import write_files

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = {"python", "sh", "console"}
SHOWN_ONLY = {"text", "yaml", "json", "csv", "toml"}
FENCE = re.compile(
    r"^(?:<!-- not run: *(?P<reason>.*?) *-->\n\n?)?```(?P<language>[^\n]*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    code: str
    reason: str | None


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page; `line` is the one of the first line of code."""
    return [
        Block(text.count("\n", 0, found.start("code")) + 1, found["language"].strip(), found["code"], found["reason"])
        for found in FENCE.finditer(text)
    ]


def shell_script(block: Block) -> str:
    """What a person would type."""
    if block.language == "sh":
        return block.code
    return "\n".join(line[2:] for line in block.code.splitlines() if line.startswith("$ "))


def run_blocks(page: str, found: list[Block], folder: Path) -> None:
    """Runs what can be run, in `folder`, which must be the current one."""
    namespace: dict[str, Any] = {"__name__": "page"}
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for block in found:
        if block.reason is not None or block.language not in RUN:
            continue
        if block.language == "python":
            code = "\n" * (block.line - 1) + block.code
            exec(compile(code, page, "exec"), namespace)  # noqa: S102 our own pages; a reader runs them the same way
        else:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", shell_script(block)],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, (
                f"{page}, line {block.line}:\n{block.code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    write_files(tmp_path)
    run_blocks(str(page), blocks(page.read_text(encoding="utf-8")), tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_block_says_what_it_is_and_each_exception_why(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = blocks(text)
    assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(found), "a fence is not closed, or is indented"
    assert {block.language for block in found} <= RUN | SHOWN_ONLY
    assert all(block.reason is None or len(block.reason) > 5 for block in found)
    assert len(re.findall(r"^<!-- not run", text, re.MULTILINE)) == sum(block.reason is not None for block in found)


def test_the_runner_sees_a_block_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run_blocks("page", blocks("```python\nx = 1\n```\n\n```python\nx / 0\n```\n"), tmp_path)
    with pytest.raises(AssertionError, match="page, line 2"):
        run_blocks("page", blocks("```console\n$ false\noutput\n```\n"), tmp_path)


def test_the_runner_leaves_out_what_says_so(tmp_path: Path) -> None:
    (block,) = blocks("<!-- not run: takes an hour -->\n```sh\nfalse\n```\n")
    assert block.reason == "takes an hour"
    run_blocks("page", [block], tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_between_files_hold(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), target
