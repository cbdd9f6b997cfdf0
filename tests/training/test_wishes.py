"""What is to happen after a step: one's own wish, and what several processes make of theirs."""

from types import SimpleNamespace

import pytest
import torch

from steploom.training.options import TrainOptions
from steploom.training.state import State
from steploom.training.wishes import Wishes


def wishes(first=True, asked=False, up=False, due=False, share=0.25, others=(0.0, 0.0, 0.0, 0.0, 0.0)):
    """Of one of two processes; `others` is what the other one sends: a count, and its own wishes."""
    clock = SimpleNamespace(share=share, time_is_up=lambda: up, save_is_due=lambda step: due and step == 7)
    together = SimpleNamespace(
        first=first, sum=lambda mine: mine + torch.tensor(others), of_the_first=lambda words: words
    )
    options = TrainOptions(epochs=3, patience=2)
    return Wishes(options, clock, SimpleNamespace(asked=asked), together)


@pytest.mark.parametrize(
    ("options", "save", "stop"),
    [
        ({}, False, ""),
        ({"due": True}, True, ""),
        ({"up": True}, False, "time"),
        ({"asked": True, "up": True}, False, "interrupted"),
    ],
)
def test_the_wish_of_one_process(options, save, stop):
    made = wishes(**options)
    assert (made.save, made.stop, made.leaving) == (False, "", False)
    made.ask(7)
    assert (made.save, made.stop, made.leaving) == (save, stop, stop == "interrupted")


def test_an_interruption_waits_for_the_validation_of_an_epoch_that_has_ended():
    made = wishes(asked=True, up=True)
    made.ask(7, ends_epoch=True)
    assert (made.stop, made.leaving) == ("", False)
    assert made.reason_to_end(State(epoch=1), True) == "interrupted"


def test_so_does_that_of_another_process():
    told = wishes(first=True, up=True, others=(0.0, 0.0, 0.0, 1.0, 0.0))
    told.ask(7, ends_epoch=True)
    told.agree(torch.tensor([5.0]))
    assert (told.stop, told.leaving) == ("", False)
    assert told.reason_to_end(State(epoch=1), True) == "interrupted"


def test_all_follow_the_clock_of_the_first():
    counted = torch.tensor([5.0])
    own = wishes(first=False, up=True, due=True)
    own.ask(7)
    found, share = own.agree(counted)
    assert (own.save, own.stop, share, found.tolist()) == (False, "", 0.0, [5.0])
    own = wishes(first=False, others=(2.0, 1.0, 1.0, 0.0, 0.5))
    own.ask(7)
    found, share = own.agree(counted)
    assert (own.save, own.stop, share, found.tolist()) == (True, "time", 0.5, [7.0])


def test_all_follow_the_interruption_of_any():
    told = wishes(first=True, up=True, others=(0.0, 0.0, 0.0, 1.0, 0.0))
    told.ask(7)
    assert not told.leaving
    assert told.agree(torch.tensor([5.0]))[1] == 0.25
    assert told.leaving


@pytest.mark.parametrize(
    ("options", "state", "validates", "reason"),
    [
        ({}, State(epoch=2, waited=1), True, ""),
        ({}, State(epoch=2, waited=2), False, ""),
        ({}, State(epoch=2, waited=2), True, "patience"),
        ({"up": True}, State(epoch=2), True, "time"),
        ({"up": True, "asked": True}, State(epoch=2, waited=2), True, "interrupted"),
        ({"up": True, "asked": True}, State(epoch=3, waited=2), True, "epochs"),
    ],
)
def test_why_training_ends_with_an_epoch(options, state, validates, reason):
    assert wishes(**options).reason_to_end(state, validates) == reason
