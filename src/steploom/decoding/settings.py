"""How to decode: one set of settings, with the names of Hugging Face's `generate()`."""

from __future__ import annotations

from dataclasses import dataclass

from steploom.errors import OptionError

__all__ = ["DecodingSettings"]


@dataclass(frozen=True)
class DecodingSettings:
    """How sequences are built from a model's next-token logits.

    Args:
        max_new_tokens: most tokens to generate, the end token included.
        min_new_tokens: the end token is banned before so many other tokens stand.
        do_sample: draw each token; otherwise take the most probable one (greedy) or search (`num_beams` > 1).
        temperature: the logits are divided by it before drawing; above 0. Below 1 makes sampling more cautious.
        top_k: draw from the k most probable tokens alone; 0: from all.
        top_p: draw from the smallest set of most probable tokens that together have at least this probability, in
            (0, 1] (nucleus sampling, Holtzman et al. 2020); 1: from all.
        num_beams: hypotheses kept in beam search; 1: no search.
        num_return_sequences: sequences to return for each start: independent samples, or the best of a beam.
        length_penalty: a beam hypothesis is ranked by its log-probability divided by its length to this power, the end
            token counted; from -20 to 20. 0 ranks by the log-probability itself, above 0 favours longer and below 0
            shorter ones.
        coverage_penalty: weight of the coverage of the source in the rank of a beam hypothesis (Wu et al. 2016,
            "Google's neural machine translation system", section 7): the sum over source positions of log(min(c, 1)),
            c the attention that a position got in all steps, at least 1e-4. Needs a model with attention.
        keep_attention: keep the attention weights of each step with the hypothesis, where the model has them.
        early_stopping: beam search ends for a start: True, as soon as `num_beams` hypotheses have ended; False, when
            no running hypothesis would at its present length beat the worst of them; "never", when it is proved that
            none can become better than the `num_return_sequences` best that have ended.
        no_repeat_ngram_size: a token that would repeat an n-gram of this size is banned; 0: none. The prompt counts.
        end_token: the token that ends a sequence; None: only `max_new_tokens` does.
        banned_tokens: tokens that must not be generated, such as the unknown word.

    Raises:
        OptionError: a value is out of its range, or two contradict each other.
    """

    max_new_tokens: int = 100
    min_new_tokens: int = 0
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    num_beams: int = 1
    num_return_sequences: int = 1
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    keep_attention: bool = False
    early_stopping: bool | str = False
    no_repeat_ngram_size: int = 0
    end_token: int | None = None
    banned_tokens: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise OptionError(f"{name}: expected {least} or more, found {getattr(self, name)}")
        if not self.temperature > 0:
            raise OptionError(
                f"temperature: expected a number above 0, found {self.temperature}. "
                "For the most probable token at each step, decode greedily."
            )
        if not 0 < self.top_p <= 1:
            raise OptionError(f"top_p: expected a number above 0 and at most 1, found {self.top_p}")
        if not -20 <= self.length_penalty <= 20:
            raise OptionError(f"length_penalty: expected a number from -20 to 20, found {self.length_penalty}")
        if self.early_stopping not in (True, False, "never"):
            raise OptionError(f"early_stopping: expected true, false or 'never', found {self.early_stopping!r}")
        if self.do_sample and self.num_beams > 1:
            raise OptionError(
                f"num_beams: beam search draws nothing, found num_beams {self.num_beams} together with sampling. "
                "Leave out temperature, top_k and top_p, or take num_beams 1."
            )
        if self.coverage_penalty and self.num_beams == 1:
            raise OptionError("coverage_penalty: it ranks the hypotheses of a beam, and num_beams is 1")
        if not self.do_sample and self.num_return_sequences > self.num_beams:
            raise OptionError(
                f"num_return_sequences: {self.num_beams} beams give at most {self.num_beams} sequences, found "
                f"{self.num_return_sequences}. Raise num_beams or draw samples."
            )


_LEAST = {
    "max_new_tokens": 1,
    "min_new_tokens": 0,
    "top_k": 0,
    "num_beams": 1,
    "num_return_sequences": 1,
    "coverage_penalty": 0,
    "no_repeat_ngram_size": 0,
}
