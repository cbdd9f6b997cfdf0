"""docs/reference/command-line.md is the help pages."""

from pathlib import Path

from steploom.cli.main import COMMANDS
from steploom.cli.reference import command_line_reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"


def test_the_page_in_the_documentation_is_that_of_the_help() -> None:
    assert PAGE.read_text(encoding="utf-8") == command_line_reference(), "`make docs` writes it anew"


def test_it_shows_every_command_with_all_its_options() -> None:
    page = command_line_reference()
    for name in COMMANDS:
        assert f"\n## steploom {name}\n" in page
    for rare in ("--nesterov", "--valid-share", "--length-penalty", "--origin-every"):
        assert f" {rare}" in page
