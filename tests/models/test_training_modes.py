"""What the decoder is fed in training: the true tokens, its own, or some of each."""

import copy

import pytest
import torch

from steploom.models.encoder_decoder import EncoderDecoder
from steploom.models.output_loss import IGNORED
from steploom.models.recurrent_shape import RecurrentShape
from steploom.models.sampling_schedule import SamplingSchedule

SIZE = 9


def network(**options):
    torch.manual_seed(0)
    shape = RecurrentShape("gru", 6)
    made = EncoderDecoder(SIZE, SIZE, begin=1, end=2, encoder=shape, decoder=shape, embedding_size=5, **options)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return made


def batch():
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(3, SIZE, (6, 4), generator=generator)
    read = torch.cat((torch.ones(1, 4, dtype=torch.long), target[:-1]))
    target[4:, 1] = IGNORED
    source = torch.randint(SIZE, (5, 4), generator=generator)
    return {"source": source, "source_lengths": torch.tensor([5, 4, 2, 1]), "target_input": read, "target": target}


@torch.no_grad()
def greedy(model, data):
    """The tokens that the decoder reads when it is fed its own: begin, then the most probable one each time."""
    state, tokens = model.encode(data["source"], data["source_lengths"]), [data["target_input"][0]]
    for _ in range(len(data["target_input"]) - 1):
        logits, state = model.step(tokens[-1], state)
        tokens.append(logits.argmax(-1))
    return torch.stack(tokens)


@pytest.mark.parametrize("feeding", [True, False])
def test_free_running_is_scored_on_what_it_wrote_itself(feeding):
    model, data = network(forcing="free", input_feeding=feeding), batch()
    own = greedy(model, data)
    assert not torch.equal(own, data["target_input"])
    taught = network(input_feeding=feeding)
    torch.testing.assert_close(model.loss(data).total, taught.loss({**data, "target_input": own}).total)


def test_a_coin_for_each_token():
    model, data = network(), batch()
    state = model.encode(data["source"], data["source_lengths"])
    true = data["target_input"]
    kept = torch.rand(true.shape) < 0.5
    fed = model.mixed(true, kept, state, "argmax")
    assert torch.equal(fed[0], true[0])
    assert torch.equal(fed[1:][kept[1:]], true[1:][kept[1:]])
    # Where the coin fell to the network, it is what the network says after all that was read before.
    logits, step_state = [], state
    for tokens in fed:
        made, step_state = model.step(tokens, step_state)
        logits.append(made)
    own = torch.stack(logits).argmax(-1)[:-1]
    assert torch.equal(fed[1:][~kept[1:]], own[~kept[1:]])
    assert len(set(kept[1:].float().mean(1).tolist())) > 1, "the coins of a step differ from row to row"


def test_true_tokens_alone_cost_no_step(monkeypatch):
    model, data = network(), batch()
    state, true = model.encode(data["source"], data["source_lengths"]), data["target_input"]
    calls, step = [], model.step
    monkeypatch.setattr(model, "step", lambda *a: calls.append(1) or step(*a))
    kept = torch.ones_like(true, dtype=torch.bool)
    assert torch.equal(model.mixed(true, kept, state, "argmax"), true)
    assert not calls
    kept[2, 1] = False
    model.mixed(true, kept, state, "argmax")
    assert len(calls) == 2, "steps run as far as the last token that is the network's own"


def test_the_updates_of_scheduled_sampling_are_counted_in_training_and_kept():
    model, data = network(forcing="scheduled", schedule=SamplingSchedule("linear", 4)), batch()
    for expected in range(3):
        assert int(model.updates) == expected
        model.loss(data)
    assert int(model.eval().updates) == 3
    model.loss(data)
    assert int(model.updates) == 3
    other = network(forcing="scheduled", schedule=SamplingSchedule("linear", 4))
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    assert int(other.updates) == 3
    model.train()
    torch.manual_seed(5)
    first = model.loss(data).total
    torch.manual_seed(5)
    assert torch.equal(other.loss(data).total, first)
    # The schedule has run out: nothing but its own tokens.
    torch.testing.assert_close(model.loss(data).total, network(forcing="free").loss(data).total)


def test_sampling_draws_from_the_softmax():
    model, data = network(forcing="free", feedback="sample"), batch()
    state = model.encode(data["source"], data["source_lengths"])
    logits, _ = model.step(data["target_input"][0], state)
    kept = torch.zeros(2, 4, dtype=torch.bool)
    draws = torch.stack([model.mixed(data["target_input"][:2], kept, state, "sample")[1] for _ in range(2000)])
    found = torch.nn.functional.one_hot(draws, SIZE).double().mean(0)
    expected = logits.detach().softmax(-1).double()
    assert ((found - expected).abs() <= 4.5 * (expected * (1 - expected) / 2000).sqrt() + 1e-9).all()


@pytest.mark.parametrize("forcing", ["scheduled", "free", "professor"])
@pytest.mark.parametrize("options", [{}, {"input_feeding": False}, {"hard": True}, {"attention": "none"}])
def test_every_forcing_gives_gradients_and_validates_as_teacher_forcing(forcing, options):
    model, data = network(forcing=forcing, schedule=SamplingSchedule("linear", 1, floor=0.5), **options), batch()
    loss = model.loss(data)
    loss.total.backward()
    assert loss.weight == 22
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    taught = network(**options).eval()
    taught.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("professor")})
    torch.testing.assert_close(model.eval().loss(data).total, taught.loss(data).total)


def test_professor_forcing_pushes_the_states_without_hiding_the_loss():
    data = batch()
    plain, taught = network(), network(forcing="professor")
    taught.load_state_dict({**taught.state_dict(), **plain.state_dict()})
    taught.professor.accuracy.fill_(0.8)
    torch.testing.assert_close(taught.loss(data).total, plain.loss(data).total)
    grads = []
    for model in (plain, taught):
        model.loss(data).total.backward()
        grads.append(model.decoder.recurrent.cell.recurrent.weight.grad)
    assert not torch.allclose(*grads)
