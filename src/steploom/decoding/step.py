"""The step protocol: all that decoding knows of a model."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from torch import Tensor

__all__ = ["AttentiveModel", "State", "StepModel"]

State = TypeVar("State")
"""Whatever a model carries from token to token: recurrent states, an encoder's memory, attention weights."""


class StepModel(Protocol[State]):
    """A model that reads one token a row and says what may come next.

    A row is one sequence under construction. Decoding never looks inside the state: it hands it back, and asks for
    other rows of it where sequences end, are copied or are dropped.
    """

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Reads `tokens` (rows,) and returns the logits of the next token (rows, vocabulary) and the new state.

        Logits are unnormalised log-probabilities; -inf marks what can never follow.
        """
        ...

    def select(self, state: State, rows: Tensor) -> State:
        """The state of the given rows (int64 indices), which may repeat rows, leave rows out and change their order."""
        ...


@runtime_checkable
class AttentiveModel(StepModel[State], Protocol[State]):
    """A `StepModel` that looks back at a source, and can say where it looked."""

    def attention(self, state: State) -> Tensor | None:
        """Where the step that led to `state` looked (rows, source time): weights from 0 that sum to 1 at most.

        They are 0 in the padding of the source. None: this model has no attention.
        """
        ...
