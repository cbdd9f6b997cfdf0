"""`steploom info DIR`: what a model directory holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from steploom.cli.help import HELP_SETTINGS

__all__ = ["command"]


@click.command("info", context_settings=HELP_SETTINGS)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="print one JSON object on standard output")
def command(directory: Path, as_json: bool) -> None:
    """Say what the model in DIR is, how it was trained, and which files there are.

    Every file is verified against its checksum. Nothing of the model is run.
    """
    from steploom.cli.report import print_json
    from steploom.cli.tables import facts_table, show
    from steploom.tasks.trained import stored_task
    from steploom.training.directory import read

    stored = read(directory)
    task = stored_task(stored)
    options = task.options
    facts: dict[str, Any] = {
        name: value for name, value in stored.manifest.items() if name not in ("files", "trained_on")
    }
    # As the task says it: an older model.json may name a cell that the network has not.
    stated = facts.get("architecture")
    network = {"network": stated["network"]} if isinstance(stated, dict) and "network" in stated else {}
    facts["architecture"] = network | task.architecture()
    facts["data"] = task.facts()
    facts["files"] = {path.name: path.stat().st_size for path in sorted(directory.iterdir()) if path.is_file()}
    facts["can_resume"] = (directory / "last").is_dir()
    facts["options"] = options.model_dump(mode="json")
    if as_json:
        print_json({"model": str(directory), **facts})
        return
    changed = {name: value for name, value in facts.pop("options").items() if name in options.model_fields_set}
    defaults = {name: field.default for name, field in type(options).model_fields.items()}
    # A list in JSON may be a tuple as a default.
    same = {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
    facts["options"] = {name: value for name, value in changed.items() if value != same[name]}
    facts["files"] = {name: _bytes(size) for name, size in facts["files"].items()}
    show(facts_table(facts))


def _bytes(size: int) -> str:
    number, units = float(size), ["bytes", "kB", "MB", "GB"]
    while number >= 1000 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return f"{number:.3g} {units[0]}"
