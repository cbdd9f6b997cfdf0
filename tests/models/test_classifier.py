"""The network that names a class."""

import pytest
import torch
from torch import nn

from steploom.models.classifier import SequenceClassifier
from steploom.models.recurrent_shape import RecurrentShape

SHAPE = RecurrentShape(hidden_size=5, bidirectional=True, dropout=0.5)


def tokens():
    lengths = torch.tensor([3, 6, 1])
    numbers = torch.randint(1, 9, (6, 3)).masked_fill(torch.arange(6)[:, None] >= lengths, 0)
    return {"tokens": numbers, "lengths": lengths, "label": torch.tensor([2, 0, 1])}


def network(**options):
    torch.manual_seed(0)
    return SequenceClassifier(3, SHAPE, vocabulary_size=9, input_size=4, **options)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_examples_do_not_see_each_other_or_the_padding(pooling):
    model, batch = network(pooling=pooling).eval(), tokens()
    logits = model.logits(batch)
    for row, length in enumerate(batch["lengths"].tolist()):
        torch.testing.assert_close(
            model.logits({"tokens": batch["tokens"][:length, row : row + 1]}), logits[row : row + 1]
        )
    other = batch | {"tokens": batch["tokens"].masked_fill(torch.arange(6)[:, None] >= batch["lengths"], 7)}
    torch.testing.assert_close(model.logits(other), logits)


def test_the_loss_is_the_weighted_cross_entropy():
    weights, batch = torch.tensor([0.5, 2.0, 1.0]), tokens()
    model = network(class_weights=weights).eval()
    result = model.loss(batch, None)
    nll = -model.logits(batch).log_softmax(-1)[torch.arange(3), batch["label"]]
    torch.testing.assert_close(result.total, (nll * weights[batch["label"]]).sum())
    assert float(result.weight) == 3.5
    assert network().eval().loss(batch, None).weight == 3.0
    assert not any("class_weights" in name for name in model.state_dict())


def test_labels_are_smoothed_in_training_alone():
    batch = tokens()
    smooth, plain = network(label_smoothing=0.3).eval(), network().eval()
    assert torch.equal(smooth.loss(batch, None).total, plain.loss(batch, None).total)
    for model in (smooth, plain):
        for layer in model.modules():
            layer.training = not isinstance(layer, nn.Dropout)
    assert not torch.equal(smooth.loss(batch, None).total, plain.loss(batch, None).total)
    assert torch.equal(smooth.loss(batch, None).reported, plain.loss(batch, None).total.detach())
    assert plain.loss(batch, None).reported is None


def test_word_dropout_reads_some_tokens_as_unknown():
    model = network(word_dropout=0.4, unknown=1, input_dropout=0.0).train()
    seen = []
    model.embedding.register_forward_hook(lambda layer, given, y: seen.append(given[0]))
    batch = {"tokens": torch.full((40, 50), 7)}
    model.logits(batch)
    model.eval().logits(batch)
    assert set(seen[0].unique().tolist()) == {1, 7} and abs(float((seen[0] == 1).float().mean()) - 0.4) < 0.05
    assert bool((seen[1] == 7).all())


def test_without_an_unknown_token_the_vector_is_dropped():
    model = network(word_dropout=0.4).train()
    found = model._embedded(torch.full((40, 50), 7))
    assert abs(float((found == 0).all(-1).float().mean()) - 0.4) < 0.05


def test_vectors_come_as_they_are():
    torch.manual_seed(0)
    model = SequenceClassifier(4, RecurrentShape(hidden_size=5), input_size=3, pooling="last").eval()
    x = torch.randn(6, 2, 3)
    y, _ = model.recurrent(x)
    torch.testing.assert_close(model.logits({"vectors": x}), model.output(y[-1]))
    torch.testing.assert_close(model.probabilities({"vectors": x}).sum(-1), torch.ones(2))
    assert model.attention({"vectors": x}) is None
