"""The decoder: recurrent layers that read what was written so far and look at the source."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from steploom.errors import OptionError, nearest
from steploom.layers.attention import AdditiveAttention, Attention, Choices, Found, Memory, MultiplicativeAttention
from steploom.layers.hard_attention import HardAttention
from steploom.layers.products import SharedProducts
from steploom.layers.stepwise import LayerStates, Stepwise, stack_state
from steploom.models.recurrent_shape import RecurrentShape

__all__ = ["ATTENTIONS", "Decoder", "DecoderState", "Run"]

ATTENTIONS = ("additive", "dot", "general", "none")
"""The names of the attentions."""


@dataclass(frozen=True)
class DecoderState:
    """Where the decoder stands in each of its rows.

    The memory of a source is kept once, however many rows look at it. The rows of a source stand together, and each
    source has as many as any other: row r looks at source r // (rows / sources).

    Attributes:
        layers: for each layer its states, (rows, size) each.
        memory: the sources; None without attention.
        fed: the attentional vector of the last step (rows, vector_size), 0 at first; None without input feeding.
        weights: where the last step looked (rows, source_time); None before the first one and without attention.
    """

    layers: LayerStates
    memory: Memory | None = None
    fed: Tensor | None = None
    weights: Tensor | None = None

    def select(self, rows: Tensor) -> DecoderState:
        """Some rows (int64 indices), in any order, more than once or not at all."""
        layers = tuple(tuple(part[rows] for part in states) for states in self.layers)
        fed, weights = (None if part is None else part[rows] for part in (self.fed, self.weights))
        memory = self.memory
        if memory is not None and len(memory):
            memory = _regroup(memory, rows // (len(self.layers[0][0]) // len(memory)))
        return DecoderState(layers, memory, fed, weights)


def _regroup(memory: Memory, sources: Tensor) -> Memory:
    """The memory for rows that look at these sources, copied only where other sources, or others beside, are left."""
    found, counts = torch.unique_consecutive(sources, return_counts=True)
    if len(counts) and not bool((counts == counts[0]).all()):
        return memory.select(sources)
    if len(found) == len(memory) and bool((found == torch.arange(len(memory), device=found.device)).all()):
        return memory
    return memory.select(found)


@dataclass(frozen=True)
class Run:
    """What the decoder made of a batch of known tokens.

    Attributes:
        vectors: what enters the output layer (time, batch, vector_size), after dropout.
        outputs: of the recurrent layers (time, batch, hidden_size).
        choices: what a hard attention drew (time, batch); None for a soft one.
    """

    vectors: Tensor
    outputs: Tensor
    choices: Choices | None


class Decoder(nn.Module):
    """Embedding, recurrent layers and attention, up to what enters the output layer.

    With `attend` "after" (Luong et al. 2015), the layers' output s_i is the query, and the attentional vector
    tanh(W [context_i; s_i]) enters the output layer; with input feeding it also stands beside the embedding of the next
    token. With "before" (Bahdanau et al. 2015), the last step's state is the query, the context stands beside the
    embedding of the present token, and tanh(W [context_i; s_i; embedding_i]) enters the output layer. Without
    attention, s_i enters it: of the source, the first state alone is known (Sutskever et al. 2014).

    Args:
        embedding: of the target's tokens.
        shape: the recurrent layers, in one direction.
        memory_size: features of a place in the memory.
        attention: one of `ATTENTIONS`.
        attend: "after" or "before".
        hard: whether one place alone is looked at.
        input_feeding: see above.
        vector_size: features of what enters the output layer; None: those of the layers' output.

    Raises:
        OptionError: an unknown name, two options that contradict each other, or a bidirectional decoder.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        shape: RecurrentShape,
        memory_size: int,
        *,
        attention: str = "general",
        attend: str = "after",
        hard: bool = False,
        input_feeding: bool = True,
        vector_size: int | None = None,
    ) -> None:
        super().__init__()
        _check(shape, attention, attend, hard)
        self.embedding = embedding
        self.dropout, self.vector_dropout = shape.input_dropout(), shape.dropout_layer()
        size = embedding.embedding_dim
        hidden_size = shape.layers(1).output_size
        self.vector_size = vector_size or hidden_size
        self.attends_before = attention != "none" and attend == "before"
        self.feeds = attention != "none" and attend == "after" and input_feeding
        self.recurrent = shape.layers(size + (memory_size if self.attends_before else self.vector_size * self.feeds))
        self.attention: Attention | HardAttention | None = None
        if attention != "none":
            soft: Attention
            if attention == "additive":
                soft = AdditiveAttention(hidden_size, memory_size)
            else:
                soft = MultiplicativeAttention(hidden_size, memory_size, attention)
            self.attention = HardAttention(soft) if hard else soft
        width = hidden_size + (memory_size + size * self.attends_before if attention != "none" else 0)
        same = attention == "none" and width == self.vector_size
        self.combine = None if same else nn.Linear(width, self.vector_size, bias=False)

    @property
    def is_recurrent_in_attention(self) -> bool:
        """Whether what a step looks at changes the steps after it: its input, and so its states."""
        return self.attends_before or self.feeds

    def start(self, layers: LayerStates, outputs: Tensor, lengths: Tensor | None) -> DecoderState:
        """The state before the first token.

        Args:
            layers: the first states of each layer.
            outputs: the encoder's (source_time, batch, memory_size).
            lengths: tokens of each source (batch,); None where all are full.
        """
        with SharedProducts():
            memory = None if self.attention is None else self.attention.prepare(outputs, lengths)
        fed = outputs.new_zeros(outputs.shape[1], self.vector_size) if self.feeds else None
        return DecoderState(layers, memory, fed)

    def forward(self, tokens: Tensor, state: DecoderState) -> Run:
        """Reads known tokens (time, batch), one row a source, all at once where no step needs another one's attention.

        Where the attention feeds nothing, the whole target runs through the recurrent layers first, and the source is
        looked at for all steps in one product.
        """
        embedded = self.dropout(self.embedding(tokens))
        if self.is_recurrent_in_attention:
            return self._step_by_step(embedded, state)
        outputs, _ = self.recurrent(embedded, stack_state(state.layers))
        with SharedProducts():
            found = None
            if self.attention is not None and state.memory is not None:
                found = self.attention(outputs, state.memory)
            vectors = self.vector_dropout(self._vector(outputs, found, embedded))
        return Run(vectors, outputs, None if found is None else found.choices)

    def _step_by_step(self, embedded: Tensor, state: DecoderState) -> Run:
        steps = Stepwise(self.recurrent)
        masks = self.vector_dropout(embedded.new_ones(*embedded.shape[:2], self.vector_size)) if self.training else None
        vectors, outputs, choices = [], [], []
        with SharedProducts():
            for place, x in enumerate(embedded.unbind(0)):
                vector, output, state, found = self._advance(x, state, steps)
                if masks is not None:
                    vector = vector * masks[place]
                    state = replace(state, fed=vector) if self.feeds else state
                vectors.append(vector)
                outputs.append(output)
                if found is not None and found.choices is not None:
                    choices.append(found.choices)
        drawn = None
        if choices:
            drawn = Choices(torch.stack([c.log_prob for c in choices]), torch.stack([c.entropy for c in choices]))
        return Run(torch.stack(vectors), torch.stack(outputs), drawn)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """What enters the output layer (rows, vector_size) after one more token in each row, and the new state."""
        embedded = self.dropout(self.embedding(tokens)[None])[0]
        with SharedProducts():
            vector, _, state, _ = self._advance(embedded, state, Stepwise(self.recurrent))
        return vector, state

    def _advance(
        self, embedded: Tensor, state: DecoderState, steps: Stepwise
    ) -> tuple[Tensor, Tensor, DecoderState, Found | None]:
        """One step from the embedded tokens (rows, size): vector, output, new state and what was looked at."""
        found = None
        x = embedded
        if self.attends_before:
            found = self._look(state.layers[-1][0], state.memory)
            x = torch.cat((embedded, found.context), -1)
        elif state.fed is not None:
            x = torch.cat((embedded, state.fed), -1)
        output, layers = steps(x, state.layers)
        if self.attention is not None and not self.attends_before:
            found = self._look(output, state.memory)
        vector = self._vector(output, found, embedded)
        weights = None if found is None else found.weights
        return vector, output, DecoderState(layers, state.memory, vector if self.feeds else None, weights), found

    def _look(self, query: Tensor, memory: Memory | None) -> Found:
        """Attention of rows (rows, size), of which several may look at one source."""
        if self.attention is None or memory is None:
            raise OptionError("this state has no memory: it was made without attention")
        sources = len(memory)
        if len(query) == sources:
            return self.attention(query, memory)  # type: ignore[no-any-return]
        found = self.attention(query.view(sources, len(query) // sources, -1).transpose(0, 1), memory)
        context, weights = (part.transpose(0, 1).flatten(0, 1) for part in (found.context, found.weights))
        return Found(context, weights)

    def _vector(self, output: Tensor, found: Found | None, embedded: Tensor) -> Tensor:
        if self.combine is None:
            return output
        if found is None:
            return self.combine(output)  # type: ignore[no-any-return]
        parts = (found.context, output, embedded) if self.attends_before else (found.context, output)
        return torch.tanh(self.combine(torch.cat(parts, -1)))


def _check(shape: RecurrentShape, attention: str, attend: str, hard: bool) -> None:
    if attention not in ATTENTIONS:
        raise OptionError(
            f"attention: expected one of {', '.join(ATTENTIONS)}, found '{attention}'.{nearest(attention, ATTENTIONS)}"
        )
    if attend not in ("after", "before"):
        raise OptionError(f"attend: expected after or before, found '{attend}'.{nearest(attend, ('after', 'before'))}")
    if hard and attention == "none":
        raise OptionError("hard: without attention there is nothing to choose. Take an attention, or leave out hard")
    if shape.bidirectional:
        raise OptionError("a decoder reads in one direction: the other one would have read what it is to write")
