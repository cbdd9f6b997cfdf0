"""A linear-chain conditional random field: the joint probability of all tags of a sequence."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from steploom.cells.cell import Cell, is_size
from steploom.engine.lengths import padding
from steploom.errors import OptionError
from steploom.layers.recurrent import Recurrent

__all__ = ["CRF", "Constraints"]

# Instead of minus infinity, whose differences are no numbers. It swallows any score that a network gives.
_FORBIDDEN = -1e30


class Constraints(NamedTuple):
    """What a sequence of tags may look like.

    Attributes:
        start: bool (tags,), the tags that may come first.
        transitions: bool (tags, tags), true at [i, j] where tag j may follow tag i.
        end: bool (tags,), the tags that may come last.
    """

    start: Tensor
    transitions: Tensor
    end: Tensor


class _Forward(Cell):
    """The forward recursion, a_t[j] = e_t[j] + log Σ_i exp(a_{t-1}[i] + T[i, j]), with the emissions e as input."""

    recurrent_products = None

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.states = {"a": input_size}
        self.transitions = nn.Parameter(torch.empty(input_size, input_size))
        self.penalty: Tensor
        self.register_buffer("penalty", torch.zeros(input_size, input_size), persistent=False)

    def forward(self, e: Tensor, a: Tensor) -> tuple[Tensor]:
        """One step: `e` and `a` (batch, tags) to the new `a`."""
        return (e + torch.logsumexp(a[:, None, :] + (self.transitions + self.penalty).t(), -1),)


class _Best(Cell):
    """The recursion of Viterbi, a_t[j] = e_t[j] + max_i (a_{t-1}[i] + T[i, j])."""

    recurrent_products = None

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.states = {"a": input_size}
        self.transitions: Tensor
        self.register_buffer("transitions", torch.zeros(input_size, input_size), persistent=False)

    def forward(self, e: Tensor, a: Tensor) -> tuple[Tensor]:
        """One step: `e` and `a` (batch, tags) to the new `a`."""
        return (e + (a[:, None, :] + self.transitions.t()).amax(-1),)


class CRF(nn.Module):
    """A linear-chain conditional random field (Lafferty, McCallum & Pereira 2001; on a network: Lample et al. 2016).

    The score of tags y_1 ... y_n under emissions e is start[y_1] + Σ e_t[y_t] + Σ transitions[y_{t-1}, y_t] + end[y_n];
    their probability is exp of it, over the sum for all sequences of tags. That sum and the best sequence are
    recurrences, which run as cells on the engines of `Recurrent`.

    Args:
        tags: number of tags.
        constraints: which tags may come first, last and after each other. The best sequence always keeps to them.
        constrain_training: whether forbidden sequences have no probability either, in `log_likelihood` and `marginals`.
        engine: what runs the recurrences.

    Raises:
        OptionError: `tags` is no whole number of at least 1, or the constraints have the wrong shape or leave a tag
            that no sequence can hold.
    """

    def __init__(
        self,
        tags: int,
        *,
        constraints: Constraints | None = None,
        constrain_training: bool = False,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        if not is_size(tags):
            raise OptionError(f"tags must be a whole number of at least 1, found {tags!r}.")
        self.tags, self.constrain_training = tags, constrain_training
        self.start = nn.Parameter(torch.empty(tags))
        self.end = nn.Parameter(torch.empty(tags))
        self.sum = Recurrent(_Forward(tags), engine=engine)
        self.best = Recurrent(_Best(tags), engine=engine)
        for scores in (self.start, self.end, self.transitions):
            nn.init.uniform_(scores, -0.1, 0.1)
        everything = Constraints(torch.ones(tags).bool(), torch.ones(tags, tags).bool(), torch.ones(tags).bool())
        for name, allowed in (_checked(constraints, tags) if constraints else everything)._asdict().items():
            self.register_buffer(
                f"{name}_penalty", torch.zeros(allowed.shape).masked_fill_(~allowed, _FORBIDDEN), False
            )
        if constrain_training:
            self._forward.penalty.copy_(self.transitions_penalty)

    start_penalty: Tensor
    transitions_penalty: Tensor
    end_penalty: Tensor

    @property
    def _forward(self) -> _Forward:
        return cast(_Forward, self.sum.cell)

    @property
    def transitions(self) -> nn.Parameter:
        """The scores (tags, tags) of tag j behind tag i, at [i, j]."""
        return self._forward.transitions

    def log_likelihood(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """The log-probability (batch,) of each sequence of tags, in nats.

        Args:
            emissions: (time, batch, tags).
            tags: int64 (time, batch); what stands in the padding has no influence.
            lengths: int64 (batch,), at least 1.

        Raises:
            OptionError: a shape is wrong, or `constrain_training` and a sequence is forbidden.
        """
        return self.score(emissions, tags, lengths) - self.log_partition(emissions, lengths)

    def log_partition(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """The log (batch,) of the sum over all sequences of tags of exp of their score; arguments as for `decode`.

        Raises:
            OptionError: a shape is wrong.
        """
        self._check(emissions, lengths)
        first = emissions[0] + self.start
        if self.constrain_training:
            first = first + self.start_penalty
        last = _final(self.sum, emissions, first, lengths)[1] + self.end
        if self.constrain_training:
            last = last + self.end_penalty
        return torch.logsumexp(last, -1)

    def score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """The score (batch,) of each sequence of tags; arguments and errors as for `log_likelihood`."""
        self._check(emissions, lengths)
        if tags.shape != emissions.shape[:2]:
            raise OptionError(f"tags must be (time, batch) = {tuple(emissions.shape[:2])}, found {tuple(tags.shape)}.")
        here = ~padding(lengths, len(emissions)).squeeze(-1)
        tags = tags.masked_fill(~here, 0)
        last = tags.gather(0, lengths[None] - 1)[0]
        if self.constrain_training:
            penalty = self.start_penalty[tags[0]] + self.end_penalty[last]
            penalty = penalty + (self.transitions_penalty[tags[:-1], tags[1:]] * here[1:]).sum(0)
            if bool((penalty < 0).any()):
                row = int((penalty < 0).nonzero()[0])
                raise OptionError(f"the tags of sequence {row} of the batch break the constraints.")
        at = emissions.gather(2, tags[:, :, None])[:, :, 0].masked_fill(~here, 0)
        between = self.transitions[tags[:-1], tags[1:]] * here[1:]
        return self.start[tags[0]] + at.sum(0) + between.sum(0) + self.end[last]

    def marginals(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """The probability (time, batch, tags) of each tag at each place, 0 in the padding; arguments as for `decode`.

        It is the gradient of `log_partition` with respect to the emissions.

        Raises:
            OptionError: a shape is wrong.
        """
        # In inference mode as well, whose tensors have no gradients.
        with torch.inference_mode(False), torch.enable_grad():
            leaf = emissions.detach().clone().requires_grad_()
            (found,) = torch.autograd.grad(self.log_partition(leaf, lengths).sum(), leaf)
        return found

    @torch.no_grad()
    def decode(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """The best sequences of tags, int64 (time, batch), by Viterbi's algorithm (1967); 0 in the padding.

        Args:
            emissions: (time, batch, tags).
            lengths: int64 (batch,), at least 1.

        Raises:
            OptionError: a shape is wrong, or the constraints allow no sequence of some length.
        """
        self._check(emissions, lengths)
        scores = self.transitions + self.transitions_penalty
        cast(_Best, self.best.cell).transitions.copy_(scores)
        first = emissions[0] + self.start + self.start_penalty
        best, last = _final(self.best, emissions, first, lengths)
        value, tag = (last + self.end + self.end_penalty).max(-1)
        if bool((value < _FORBIDDEN / 2).any()):
            length = int(lengths[(value < _FORBIDDEN / 2).nonzero()[0, 0]])
            raise OptionError(f"the constraints allow no sequence of {length} tags.")
        found = torch.zeros(emissions.shape[:2], dtype=torch.long, device=emissions.device)
        for t in range(len(emissions) - 1, -1, -1):
            # A sequence that ends before t still has its last tag.
            found[t] = tag.masked_fill(lengths <= t, 0)
            if t:
                before = (best[t - 1] + scores.t()[tag]).argmax(-1)
                tag = torch.where(lengths > t, before, tag)
        return found

    def extra_repr(self) -> str:
        """The constructor's arguments, for `print`."""
        return f"tags={self.tags}, constrain_training={self.constrain_training}"

    def _check(self, emissions: Tensor, lengths: Tensor) -> None:
        if emissions.dim() != 3 or emissions.shape[-1] != self.tags or not len(emissions):
            raise OptionError(
                f"emissions must be (time, batch, tags) with {self.tags} tags, found {tuple(emissions.shape)}."
            )
        time, batch = emissions.shape[:2]
        if lengths.shape != (batch,):
            raise OptionError(f"lengths must be (batch,) = ({batch},), found {tuple(lengths.shape)}.")
        if batch and (int(lengths.min()) < 1 or int(lengths.max()) > time):
            raise OptionError(
                f"lengths must lie between 1 and {time}, found {int(lengths.min())} to {int(lengths.max())}."
            )


def _final(layer: Recurrent, emissions: Tensor, first: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """All states (time, batch, tags) of a recursion that begins with `first`, and the last one of each sequence."""
    if len(emissions) == 1 or not emissions.shape[1]:
        return first[None], first
    after, (last,) = layer(emissions[1:], (first[None],), lengths - 1)
    return torch.cat([first[None], after]), last[0]


def _checked(constraints: Constraints, tags: int) -> Constraints:
    start, transitions, end = (allowed.bool() for allowed in constraints)
    if start.shape != (tags,) or end.shape != (tags,) or transitions.shape != (tags, tags):
        raise OptionError(
            f"constraints must be ({tags},), ({tags}, {tags}) and ({tags},), found {tuple(start.shape)}, "
            f"{tuple(transitions.shape)} and {tuple(end.shape)}."
        )
    for reached, onwards, way in ((start, transitions, "from the start to"), (end, transitions.t(), "to the end from")):
        for _ in range(tags):
            reached = reached | (onwards & reached[:, None]).any(0)
        if not bool(reached.all()):
            raise OptionError(f"the constraints allow no way {way} tag {int((~reached).nonzero()[0])}.")
    return Constraints(start, transitions, end)
