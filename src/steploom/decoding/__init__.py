"""From a model's next step to whole sequences: greedy, sampling and beam search on one step protocol."""

from steploom.decoding.generate import generate
from steploom.decoding.hypotheses import Hypothesis
from steploom.decoding.settings import DecodingSettings
from steploom.decoding.step import AttentiveModel, StepModel

__all__ = ["AttentiveModel", "DecodingSettings", "Hypothesis", "StepModel", "generate"]
