"""Recurrent layers from one value: what is dropped, and where."""

import pytest
import torch
from torch import nn

from steploom import use_engine
from steploom.cells.cell import Cell
from steploom.models.classifier import SequenceClassifier
from steploom.models.encoder import Encoder
from steploom.models.language_model import LanguageModel
from steploom.models.recurrent_shape import RecurrentShape
from steploom.models.skip_thought import SkipThought
from steploom.models.tagger import Tagger

RATE = 0.5


def encoder(shape):
    network = Encoder(nn.Embedding(5, 64), shape)
    return network, lambda: network(torch.ones(6, 8, dtype=torch.long), None)


def tagger(shape):
    network = Tagger(5, 3, shape=shape, embedding_size=64, dropout=RATE)
    batch = {"words": torch.ones(6, 8, dtype=torch.long), "lengths": torch.full((8,), 6)}
    return network, lambda: network(batch)


def skip_thought(shape):
    network = SkipThought(5, embedding_size=64, encoder=shape, decoder=shape)
    return network, lambda: network.vectors(torch.ones(6, 8, dtype=torch.long), torch.full((8,), 6))


def language_model(shape, rate):
    network = LanguageModel(5, shape, embedding_size=64, input_dropout=rate)
    return network, lambda: network(torch.ones(6, 8, dtype=torch.long))


def texts(shape, rate):
    network = SequenceClassifier(2, shape, vocabulary_size=5, input_size=64, input_dropout=rate)
    return network, lambda: network.logits({"tokens": torch.ones(6, 8, dtype=torch.long)})


def vectors(shape, rate):
    network = SequenceClassifier(2, shape, input_size=64, input_dropout=rate)
    return network, lambda: network.logits({"vectors": torch.ones(6, 8, 64)})


def dropped_share(make, monkeypatch, *arguments):
    """The share of zeros in what enters the first layer in training."""
    torch.manual_seed(0)
    network, run = make(*arguments)
    entering = []
    step = type(next(m for m in network.modules() if isinstance(m, Cell) and m.input_size == 64)).forward

    def spy(cell, x, *states):
        if x.shape[-1] == 64:
            entering.append(x.detach())
        return step(cell, x, *states)

    monkeypatch.setattr("steploom.cells.lstm.LSTMCell.forward", spy)
    with use_engine("reference"):
        network.train()
        run()
    return (torch.stack(entering) == 0).float().mean().item()


@pytest.mark.parametrize(("rate", "found"), [(0.0, 0.0), (0.2, 0.2), (0.8, 0.8), (None, RATE)])
@pytest.mark.parametrize("variational", [False, True])
@pytest.mark.parametrize("make", [language_model, texts, vectors])
def test_what_enters_the_first_layer_has_a_rate_of_its_own(make, variational, rate, found, monkeypatch):
    shape = RecurrentShape(hidden_size=8, num_layers=2, dropout=RATE, variational=variational, engine="reference")
    assert dropped_share(make, monkeypatch, shape, rate) == pytest.approx(found, abs=0.08 if found else 0)


@pytest.mark.parametrize("variational", [False, True])
@pytest.mark.parametrize("make", [encoder, tagger, skip_thought])
def test_what_enters_the_first_layer_is_dropped_once(make, variational, monkeypatch):
    shape = RecurrentShape(hidden_size=8, dropout=RATE, variational=variational, engine="reference")
    assert 0.42 < dropped_share(make, monkeypatch, shape) < 0.58
