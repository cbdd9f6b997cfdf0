"""The tasks by name, imported when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from steploom.errors import OptionError, nearest
from steploom.tasks.task import Task

__all__ = ["TASKS", "task_class"]

TASKS = {
    "forecast": "steploom.tasks.forecast.task:Forecast",
    "generate": "steploom.tasks.generate.task:Generate",
    "classify": "steploom.tasks.classify.task:Classify",
    "tag": "steploom.tasks.tag.task:Tag",
    "translate": "steploom.tasks.translate.task:Translate",
    "embed": "steploom.tasks.embed.task:Embed",
}


def task_class(name: str) -> type[Task]:
    """The class of the task called `name`.

    Raises:
        OptionError: there is no such task; the message says the nearest.
    """
    if not isinstance(name, str):
        raise OptionError(f"task: expected a name such as 'classify', found {type(name).__name__}")
    if name not in TASKS:
        raise OptionError(f"there is no task '{name}'.{nearest(name, TASKS)} The tasks are: {', '.join(TASKS)}")
    module, attribute = TASKS[name].split(":")
    return cast(type[Task], getattr(import_module(module), attribute))
