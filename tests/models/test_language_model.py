"""The language model."""

import pytest
import torch
from torch.nn import functional as F

from steploom.engine.choice import use_engine
from steploom.models.language_model import LanguageModel
from steploom.models.output_loss import IGNORED
from steploom.models.recurrent_shape import RecurrentShape

OWN = {"embedding_size", "tie_embeddings", "input_dropout", "output_dropout"}


def model(**options):
    torch.manual_seed(0)
    own = {name: options.pop(name) for name in OWN & options.keys()}
    shape = RecurrentShape(**{"hidden_size": 6, "num_layers": 2, **options})
    return LanguageModel(11, shape, **{"embedding_size": 6, **own}).eval()


def tokens(time, batch, seed=0):
    return torch.randint(11, (time, batch), generator=torch.Generator().manual_seed(seed))


CELLS = ["lstm", "gru", "rnn", "lstm-peephole", "gru-reset-before"]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tied", [False, True])
def test_the_loss_is_the_cross_entropy_of_the_logits(cell, tied):
    network = model(cell=cell, tie_embeddings=tied)
    read, target = tokens(7, 3), tokens(7, 3, 1)
    logits, state = network(read)
    loss = network.loss({"input": read, "target": target}, None)
    torch.testing.assert_close(loss.total, F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum"))
    assert loss.weight == 21
    for got, wanted in zip(loss.carry, state, strict=True):
        torch.testing.assert_close(got, wanted)


def test_ignored_targets_count_nowhere():
    network = model()
    read, target = tokens(7, 3), tokens(7, 3, 1)
    target[4:, 1] = IGNORED
    log_probs = network(read)[0].log_softmax(-1)
    expected = -sum(log_probs[t, b, target[t, b]] for t in range(7) for b in range(3) if not (b == 1 and t >= 4))
    loss = network.loss({"input": read, "target": target}, None)
    torch.testing.assert_close(loss.total, expected)
    assert loss.weight == 18


@pytest.mark.parametrize("cell", CELLS)
def test_two_chunks_with_the_state_carried_equal_one_run(cell):
    network = model(cell=cell)
    read, target = tokens(9, 2), tokens(9, 2, 1)
    whole = network.loss({"input": read, "target": target}, None)
    first = network.loss({"input": read[:4], "target": target[:4]}, None)
    second = network.loss({"input": read[4:], "target": target[4:]}, first.carry)
    torch.testing.assert_close(first.total + second.total, whole.total)


def test_no_token_sees_a_later_one():
    network = model()
    read = tokens(6, 1)
    changed = read.clone()
    changed[4] = (changed[4] + 1) % 11
    before, after = network(read)[0], network(changed)[0]
    torch.testing.assert_close(before[:4], after[:4])
    assert not torch.allclose(before[4:], after[4:])


def test_log_probs_of_the_targets():
    network = model()
    read, target = tokens(5, 3), tokens(5, 3, 1)
    found, _ = network.log_probs(read, target)
    expected = network(read)[0].log_softmax(-1).gather(2, target[:, :, None])[:, :, 0]
    torch.testing.assert_close(found, expected.detach())
    assert not found.requires_grad


@torch.no_grad()
def test_steps_and_selected_rows_follow_the_sequence():
    network = model(cell="lstm")
    read = tokens(5, 4)
    expected, _ = network(read)
    state = network.read(read[:0])
    rows = torch.arange(4)
    for t in range(5):
        if t == 2:
            rows = torch.tensor([3, 0, 0])
            state = network.select(state, rows)
        logits, state = network.step(read[t, rows], state)
        torch.testing.assert_close(logits, expected[t, rows])


@torch.no_grad()
def test_reading_a_prompt_is_stepping_through_it():
    network = model()
    read = tokens(5, 2)
    at_once = network.read(read)
    state = network.read(read[:1])
    for t in range(1, 5):
        _, state = network.step(read[t], state)
    for got, wanted in zip(at_once, state, strict=True):
        torch.testing.assert_close(got, wanted)
    assert network.read(read[:0], at_once) is at_once


def test_tied_embeddings_are_one_parameter():
    shape = RecurrentShape(hidden_size=200, num_layers=2)
    tied, free = (LanguageModel(10_000, shape, embedding_size=200, tie_embeddings=tie) for tie in (True, False))
    assert tied.weight is tied.embedding.weight
    # 2 layers of 4 gates with two products and two biases each; embedding; output bias.
    recurrent = 2 * 4 * (2 * 200 * 200 + 2 * 200)
    assert sum(p.numel() for p in tied.parameters()) == recurrent + 10_000 * 200 + 10_000
    assert sum(p.numel() for p in free.parameters()) == recurrent + 2 * 10_000 * 200 + 10_000
    read = tokens(4, 2)
    network = model(tie_embeddings=True)
    network.loss({"input": read, "target": read}, None).total.backward()
    assert network.embedding.weight.grad is not None


def test_tied_embeddings_of_another_size_are_reached_by_a_linear_map():
    network = model(embedding_size=4, hidden_size=6, tie_embeddings=True)
    assert network(tokens(3, 2))[0].shape == (3, 2, 11)
    assert network.bridge.weight.shape == (4, 6)


def seen_by_recurrence(network, read):
    seen = []
    handle = network.recurrent.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    network.loss({"input": read, "target": read}, None)
    handle.remove()
    return seen[0]


def test_dropout_is_new_at_each_step_and_acts_in_training_only():
    network = model(embedding_size=64, hidden_size=64, dropout=0.5)
    read = torch.full((6, 2), 3)
    assert (seen_by_recurrence(network, read) != 0).all()
    network.train()
    dropped = seen_by_recurrence(network, read) == 0
    assert 0.35 < dropped.float().mean() < 0.65
    assert not (dropped[0] == dropped[1]).all()
    read = tokens(6, 2)
    losses = [network.loss({"input": read, "target": read}, None).total for _ in range(2)]
    assert losses[0] != losses[1]


def test_variational_dropout_holds_its_masks_for_a_batch():
    torch.manual_seed(0)
    network = model(embedding_size=64, hidden_size=64, dropout=0.5, variational=True).train()
    masked = network.output_dropout(torch.ones(6, 2, 64))
    assert torch.equal(masked[0], masked[5]) and not torch.equal(masked[:, 0], masked[:, 1])
    entering = []
    original = torch.lstm

    def spy(x, *rest):
        entering.append(x.detach())
        return original(x, *rest)

    with pytest.MonkeyPatch.context() as patch, use_engine("aten"):
        patch.setattr(torch, "lstm", spy)
        network.loss({"input": torch.full((6, 2), 3), "target": tokens(6, 2)}, None)
    first = entering[0] == 0
    assert 0.3 < first.float().mean() < 0.7
    assert torch.equal(first[0], first[5]) and not torch.equal(first[:, 0], first[:, 1])


def test_each_dropout_has_its_own_rate_where_it_is_given():
    network = model(dropout=0.3, input_dropout=0.1, output_dropout=0.0)
    assert (network.input_dropout.p, network.output_dropout.p, network.recurrent.stack.dropout) == (0.1, 0.0, 0.3)
    network = model(dropout=0.3)
    assert (network.input_dropout.p, network.output_dropout.p, network.recurrent.stack.dropout) == (0.3, 0.3, 0.3)
