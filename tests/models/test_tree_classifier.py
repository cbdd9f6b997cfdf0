"""Classes of trees: what counts in the loss, and which node is scored."""

import pytest
import torch

from steploom.data.labelled.tree_batches import EncodedTrees
from steploom.data.labelled.trees import parse_tree
from steploom.errors import OptionError
from steploom.models.output_loss import IGNORED
from steploom.models.tree_classifier import TREE_NETWORKS, TreeClassifier

TREES = [
    parse_tree(line) for line in ("(1 (0 a) (1 (1 b) (x c)))", "(0 d)", "(0 (1 (0 b) a) (1 d))", "(1 (0 c) (1 d))")
]
WORDS = {"a": 1, "b": 2, "c": 3, "d": 4}
CLASSES = {"0": 0, "1": 1}


def encoded(labels=True):
    return EncodedTrees(TREES, WORDS.__getitem__, CLASSES.get if labels else None)


def network(kind="nary", **options):
    torch.manual_seed(0)
    return TreeClassifier(2, 5, kind=kind, embedding_size=4, hidden_size=6, **options).double()


def rows(*numbers):
    return torch.tensor(numbers, dtype=torch.int64)


def test_a_batch_holds_words_and_labels_where_the_forest_has_their_nodes():
    batch, number = encoded().numbered(rows(0))
    assert batch["token"][number[rows(0, 1, 2)]].tolist() == [1, 2, 3]
    assert batch["node_label"][number].tolist() == [0, 1, IGNORED, 1, 1]
    assert encoded().lengths.tolist() == [5, 1, 5, 3]
    assert "node_label" not in encoded(labels=False).collate(rows(0, 1))


@pytest.mark.parametrize("kind", TREE_NETWORKS)
def test_roots_are_scored_in_the_order_of_the_rows(kind):
    model = network(kind).eval()
    together = model.logits(encoded().collate(rows(2, 0, 3, 1)))
    for place, row in enumerate((2, 0, 3, 1)):
        batch, number = encoded().numbered(rows(row))
        torch.testing.assert_close(model.logits(batch), together[place : place + 1])
        torch.testing.assert_close(model.node_logits(batch)[number[-1]], together[place])


def test_all_labelled_nodes_count_or_the_roots_alone():
    model = network(class_weights=torch.tensor([1.0, 3.0]).double())
    batch = encoded().collate(rows(0, 1, 2, 3))
    loss = model.loss(batch, None)
    label = batch["node_label"]
    chances = model.node_logits(batch).log_softmax(-1)
    expected = -sum(chances[n, y] * (1 + 2 * y) for n, y in enumerate(label.tolist()) if y != IGNORED)
    torch.testing.assert_close(loss.total, expected)
    assert float(loss.weight) == sum(1 + 2 * y for y in label.tolist() if y != IGNORED) == 5 + 3 * 7
    roots = encoded(labels=False).collate(rows(0, 1, 2, 3)) | {"label": torch.tensor([1, 0, 0, 1])}
    loss = model.loss(roots, None)
    expected = torch.nn.functional.cross_entropy(
        model.logits(roots), roots["label"], model.class_weights, reduction="sum"
    )
    torch.testing.assert_close(loss.total, expected)
    assert float(loss.weight) == 8


@pytest.mark.parametrize("chosen", [(0, 1, 2, 3), (1,)])
def test_the_loss_of_nodes_is_no_loss_of_roots_and_is_reported_without_smoothing(chosen):
    model, batch = network(label_smoothing=0.4, node_labels=True), encoded().collate(rows(*chosen))
    assert not model.comparable_losses and network().comparable_losses
    assert torch.equal(model.loss(batch, None).reported, model.eval().loss(batch, None).total.detach())


def test_dropout_of_words_and_vectors_in_training_alone():
    model = network(input_dropout=0.5, output_dropout=0.5, word_dropout=0.5)
    batch = encoded().collate(rows(0, 2))
    assert not torch.equal(model.logits(batch), model.logits(batch))
    model.eval()
    assert torch.equal(model.logits(batch), model.logits(batch))
    only_words = network(word_dropout=0.999999, unknown=2)
    same = {**batch, "token": torch.full_like(batch["token"], 2)}
    torch.testing.assert_close(only_words.logits(batch), only_words.eval().logits(same))


@pytest.mark.parametrize("kind", TREE_NETWORKS)
@pytest.mark.parametrize("chosen", [(), (1,)])
def test_every_weight_has_a_gradient_without_inner_nodes_too(kind, chosen):
    model = network(kind)
    loss = model.loss(encoded().collate(rows(*chosen)), None)
    loss.total.backward()
    assert float(loss.weight) == len(chosen)
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_an_unknown_kind():
    with pytest.raises(OptionError, match="kind: expected one of nary, child-sum, recursive, found 'sum'"):
        network("sum")
