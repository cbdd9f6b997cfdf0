"""How a wrong option is told: by its name on the command line or in a file, with what is expected there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from steploom.errors import OptionError, nearest

__all__ = ["flag", "option_error"]

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text",
    "list": "a list",
    "tuple": "a list",
    "path": "a path",
    "finite": "a finite number",
}
_BOUNDS = {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le", "less_than": "lt"}
_WORDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def flag(name: str) -> str:
    """The command-line form of an option's name: hidden_size becomes --hidden-size."""
    return "--" + name.replace("_", "-")


def option_error(error: ValidationError, model: type[BaseModel], where: str | None) -> OptionError:
    """One line that tells the first wrong option, what was expected and what was found.

    Args:
        error: what pydantic says of the values.
        model: the class of the options.
        where: the file that the values come from; None: the command line.
    """
    # A misspelt name often leaves the right one missing: the misspelling is the news.
    order = {"extra_forbidden": 0, "missing": 2}
    problem = min(error.errors(), key=lambda e: order.get(e["type"], 1))
    name = str(problem["loc"][0]) if problem["loc"] else ""
    kind, context, found = problem["type"], problem.get("ctx", {}), problem["input"]
    prefix = f"{where}: {name}" if where else flag(name) if name else "options"
    if kind == "extra_forbidden":
        shown = name if where else flag(name)
        return OptionError(
            f"{where + ': ' if where else ''}there is no option {shown}.{_nearest_option(name, model, where)}"
        )
    if kind == "missing":
        return OptionError(f"{prefix} is required")
    if kind == "literal_error":
        choices = [str(c).strip("'") for c in _choices(model, name)] or [str(context.get("expected", ""))]
        return OptionError(
            f"{prefix}: expected one of {', '.join(choices)}, found '{found}'.{nearest(str(found), choices)}"
        )
    if kind == "value_error":
        return OptionError(
            f"{prefix}: {context.get('error', problem['msg'])}" if name else str(context.get("error", problem["msg"]))
        )
    return OptionError(f"{prefix}: expected {_expectation(model, name, kind, context)}, found {found!r}")


def _expectation(model: type[BaseModel], name: str, kind: str, context: Mapping[str, Any]) -> str:
    field = model.model_fields.get(name)
    noun = "a whole number" if field is not None and _holds(field.annotation, int) else "a number"
    bounds: dict[str, Any] = {}
    for part in field.metadata if field is not None else []:
        bounds |= {key: getattr(part, key) for key in _WORDS if getattr(part, key, None) is not None}
    if kind in _BOUNDS:
        bounds.setdefault(_BOUNDS[kind], context.get(_BOUNDS[kind]))
    elif kind.split("_")[0] not in ("int", "float", "finite"):
        return _EXPECTED.get(kind.split("_")[0], "another value")
    limits = " and ".join(
        f"{_WORDS[key]} {bounds[key]:g}" if abs(bounds[key]) < 1e6 else f"{_WORDS[key]} {bounds[key]}" for key in bounds
    )
    return f"{noun} of {limits}" if limits else noun


def _holds(annotation: Any, kind: type) -> bool:
    return annotation is kind or kind in getattr(annotation, "__args__", ())


def _choices(model: type[BaseModel], name: str) -> tuple[Any, ...]:
    annotation = model.model_fields[name].annotation if name in model.model_fields else None
    return tuple(c for c in getattr(annotation, "__args__", ()) if isinstance(c, str))


def _nearest_option(name: str, model: type[BaseModel], where: str | None) -> str:
    names = model.model_fields if where else [flag(n) for n in model.model_fields]
    return nearest(name if where else flag(name), names)
