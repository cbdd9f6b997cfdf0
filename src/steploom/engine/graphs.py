"""What PyTorch is told about functions that it meets while it makes a graph of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["same_in_a_graph"]

Function = TypeVar("Function", bound=Callable[..., Any])


def same_in_a_graph(function: Function) -> Function:
    """Have torch.compile call a function once, while it makes a graph, and take the result for a constant.

    It does what torch.compiler.assume_constant_result does, without importing the compiler, which takes a second that
    most programs have no use for.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined] # the mark that PyTorch looks for
    return function
