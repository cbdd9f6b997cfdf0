"""The network of the tagger."""

import pytest
import torch

from steploom.data.labelled.conll_batches import SentenceBatches, learn_words
from steploom.models.output_loss import IGNORED
from steploom.models.recurrent_shape import RecurrentShape
from steploom.models.tagger import Tagger

SENTENCES = [("the", "old", "loom"), ("loom",), ("a", "thread", "of", "the", "loom"), ("old", "thread")]
TARGETS = [[0, 1, 2], [2], [0, 2, 1, 0, 2], [1, 2]]
CODER, RARE = learn_words(SENTENCES)


def network(cell="lstm", characters=True, **options):
    torch.manual_seed(0)
    shape = RecurrentShape(cell, 7, bidirectional=True)
    options = {"embedding_size": 5, "character_embedding_size": 3, "character_hidden_size": 4, **options}
    count = len(CODER.characters) if characters else 0
    return Tagger(len(CODER.words), 3, shape=shape, characters=count, **options).double()


def batch(sentences=SENTENCES, targets=TARGETS):
    return SentenceBatches(sentences, CODER, len(sentences), targets).batch(0, 0)


@pytest.mark.parametrize("crf", [True, False])
@pytest.mark.parametrize("characters", [True, False])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("training", [True, False])
def test_a_batch_is_its_sentences_one_by_one(crf, characters, cell, training):
    model = network(cell, characters, crf=crf).train(training)
    whole = model.loss(batch(), None)
    alone = [model.loss(batch([s], [t]), None) for s, t in zip(SENTENCES, TARGETS, strict=True)]
    assert float(whole.weight) == sum(float(part.weight) for part in alone) == 11
    assert torch.allclose(whole.total, sum(part.total for part in alone), rtol=0, atol=1e-10)
    found = {tuple(tags) for tags in model.tag(batch())}
    assert found == {tuple(model.tag(batch([sentence], None))[0]) for sentence in SENTENCES}


@pytest.mark.parametrize("crf", [True, False])
def test_every_weight_has_a_gradient_and_learns(crf):
    model = network(crf=crf)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(30):
        optimizer.zero_grad()
        loss = model.loss(batch(), None)
        loss.total.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
    right = {tuple(tags) for tags in TARGETS}
    assert {tuple(tags) for tags in model.tag(batch())} == right


def test_case_reaches_the_tags_by_the_characters_alone():
    coder, _ = learn_words([("Bill", "bill")])
    one, other = (SentenceBatches([(word,)], coder, 1).batch(0, 0) for word in ("Bill", "bill"))
    spelt = Tagger(len(coder.words), 3, shape=RecurrentShape(hidden_size=4), characters=len(coder.characters))
    assert torch.equal(one["words"], other["words"]) and not torch.equal(spelt(one), spelt(other))


@pytest.mark.parametrize(("crf", "training", "weight"), [(True, True, 6), (True, False, 10), (False, True, 10)])
def test_a_tag_that_the_model_lacks_counts_nowhere(crf, training, weight):
    """Of a CRF in training its whole sentence: there is no likelihood of a part of it."""
    model = network(crf=crf).train(training)
    targets = [list(tags) for tags in TARGETS]
    targets[2][1] = IGNORED
    loss = model.loss(batch(targets=targets), None)
    assert float(loss.weight) == weight and loss.total.isfinite()
    rest = [[IGNORED] * len(tags) for tags in TARGETS]
    nothing = model.loss(batch(targets=rest), None)
    assert float(nothing.weight) == 0 and float(nothing.total.detach()) == 0


@pytest.mark.parametrize("crf", [True, False])
def test_in_evaluation_the_loss_is_the_expected_number_of_wrong_tags(crf):
    model = network(crf=crf).eval()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            loss = model.loss(batch(), None)
        assert 0 < float(loss.total) < float(loss.weight) == 11
    if not crf:
        whole = batch()
        wanted = sum((1 - model(whole).softmax(-1)[whole["target"] == tag][:, tag]).sum() for tag in range(3))
        assert torch.allclose(loss.total, wanted, rtol=0, atol=1e-12)


def test_rare_words_become_unknown_in_training_alone():
    model = network(characters=False, rare=RARE, word_dropout=1.0)
    names = {CODER.words[number] for number in RARE}
    assert names == {"a", "of"}
    unknown = [tuple("none" if word in names else word for word in sentence) for sentence in SENTENCES]
    model.train()
    assert torch.equal(model(batch()), model(batch(unknown)))
    model.eval()
    assert not torch.equal(model(batch()), model(batch(unknown)))


def test_a_share_of_no_sentences():
    model = network()
    empty = SentenceBatches(SENTENCES[:1], CODER, 4, TARGETS[:1]).batch(0, 0, rank=1, world=2)
    loss = model.loss(empty, None)
    loss.total.backward()
    assert float(loss.weight) == 0 and float(loss.total.detach()) == 0


def test_mixed_precision_leaves_the_sums_alone():
    model = network().float()
    exact = model.loss(batch(), None)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.loss(batch(), None)
    assert mixed.total.dtype == torch.float32
    assert torch.allclose(mixed.total, exact.total, rtol=0.05)


def test_both_directions_of_a_spelling_count():
    model, whole = network(), batch()
    with torch.no_grad():
        for weight in model.spelling.cells[1].parameters():
            weight.zero_()
        vectors = model.spell(whole["characters"], whole["character_lengths"])
    assert vectors.shape == (whole["characters"].shape[1], 8)
    assert vectors[:, 4:].eq(0).all() and vectors[:, :4].ne(0).all()
