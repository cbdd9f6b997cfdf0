"""The encoder-decoder: its loss, its steps, its gradients."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from steploom import LSTMCell, Recurrent
from steploom.cells.cell import Cell
from steploom.decoding.generate import generate
from steploom.decoding.settings import DecodingSettings
from steploom.errors import OptionError
from steploom.models.encoder import Bridge
from steploom.models.encoder_decoder import EncoderDecoder
from steploom.models.output_loss import IGNORED
from steploom.models.recurrent_shape import RecurrentShape

SOURCE, TARGET = 9, 11
BEGIN, END = 1, 2


class OwnCell(Cell):
    """A cell of the user's own, with states of other names and sizes."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.states = {"y": hidden_size, "note": 3}
        self.read = nn.Linear(input_size + hidden_size, hidden_size)
        self.write = nn.Linear(hidden_size, 3)

    def forward(self, x, y, note):
        y = torch.tanh(self.read(torch.cat((x, y), -1)) + note.sum(-1, keepdim=True))
        return y, 0.5 * note + self.write(y)


OWN = f"{__name__}:OwnCell"


def network(encoder=None, decoder=None, **options):
    torch.manual_seed(0)
    encoder = RecurrentShape(**{"cell": "gru", "hidden_size": 4, "bidirectional": True, **(encoder or {})})
    decoder = RecurrentShape(**{"cell": "lstm", "hidden_size": 8, **(decoder or {})})
    made = EncoderDecoder(
        SOURCE, TARGET, begin=BEGIN, end=END, encoder=encoder, decoder=decoder, **{"embedding_size": 5, **options}
    )
    # Larger weights than a training begins with: what a step looks at must show in what comes out.
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made.double()


def batch(lengths=(6, 3, 1, 0), targets=(4, 5, 1, 2), seed=0):
    generator = torch.Generator().manual_seed(seed)
    time = max(targets)
    target = torch.randint(3, TARGET, (time, len(lengths)), generator=generator)
    read = torch.cat((torch.full((1, len(lengths)), BEGIN), target[:-1]))
    target[torch.arange(time)[:, None] >= torch.tensor(targets)] = IGNORED
    source = torch.randint(SOURCE, (max(*lengths, 1), len(lengths)), generator=generator)
    return {"source": source, "source_lengths": torch.tensor(lengths), "target_input": read, "target": target}


@torch.no_grad()
def stepped_logits(model, data):
    """Logits (time, batch, vocabulary) by the steps of decoding."""
    state, logits = model.encode(data["source"], data["source_lengths"]), []
    for tokens in data["target_input"]:
        made, state = model.step(tokens, state)
        logits.append(made)
    return torch.stack(logits)


KINDS = [
    {"attention": attention, "attend": attend, "input_feeding": feeding, "hard": hard}
    for attention, attend, feeding, hard in itertools.product(
        ("additive", "dot", "general", "none"), ("after", "before"), (False, True), (False, True)
    )
    if not (attention == "none" and (hard or feeding or attend == "before")) and not (attend == "before" and feeding)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(str(value) for value in kind.values()))
@pytest.mark.parametrize("layers", [1, 2])
def test_the_loss_of_whole_targets_is_that_of_the_steps(kind, layers):
    model, data = network(decoder={"num_layers": layers}, **kind).eval(), batch()
    expected = F.cross_entropy(
        stepped_logits(model, data).flatten(0, 1), data["target"].flatten(), ignore_index=IGNORED, reduction="sum"
    )
    loss = model.loss(data)
    torch.testing.assert_close(loss.total, expected)
    assert loss.weight == 12 and loss.carry is None
    torch.testing.assert_close(model.log_probs(data).sum(), -expected)


@pytest.mark.parametrize("attention", ["additive", "general"])
def test_without_feeding_the_whole_target_runs_at_once(attention, monkeypatch):
    model, data = network(attention=attention, input_feeding=False), batch()
    state = model.encode(data["source"], data["source_lengths"])
    whole = model.decoder(data["target_input"], state)
    stepped = model.decoder._step_by_step(model.decoder.embedding(data["target_input"]), state)
    torch.testing.assert_close(whole.vectors, stepped.vectors)
    torch.testing.assert_close(whole.outputs, stepped.outputs)
    wanted, found = (
        torch.autograd.grad(
            run.vectors.pow(2).sum(), list(model.decoder.parameters()), retain_graph=True, allow_unused=True
        )
        for run in (stepped, whole)
    )
    for got, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(got, expected)
    calls = []
    monkeypatch.setattr(model.decoder, "_advance", lambda *_: calls.append(1))
    model.loss(data)
    assert not calls


@pytest.mark.parametrize("kind", [{}, {"attention": "additive", "attend": "before"}, {"attention": "none"}])
def test_no_sequence_sees_another_or_its_padding(kind):
    model = network(**kind).eval()
    data = batch()
    together = stepped_logits(model, data)
    for row, length in enumerate(data["source_lengths"].tolist()):
        alone = {name: part[:, [row]] for name, part in data.items() if name != "source_lengths"}
        alone |= {"source": alone["source"][: max(length, 1)], "source_lengths": data["source_lengths"][[row]]}
        torch.testing.assert_close(stepped_logits(model, alone)[:, 0], together[:, row])


def test_no_step_sees_a_later_token():
    for kind in ({}, {"input_feeding": False}, {"attend": "before"}):
        model, data = network(**kind).eval(), batch()
        before = model.log_probs(data)
        data["target_input"][3:] = BEGIN
        after = model.log_probs(data)
        torch.testing.assert_close(before[:3], after[:3])
        assert not torch.allclose(before[3:], after[3:])


PAIRS = [
    ({"cell": "lstm", "bidirectional": False, "hidden_size": 8}, {"cell": "lstm"}),
    ({"cell": "lstm-projected", "num_layers": 2}, {"cell": "slstm", "num_layers": 3}),
    ({"cell": "slstm"}, {"cell": "slstm", "num_layers": 2}),
    ({"cell": "gru", "num_layers": 3}, {"cell": "lstm-projected", "hidden_size": 7}),
    ({"cell": OWN, "num_layers": 2}, {"cell": OWN}),
    ({"cell": "indrnn"}, {"cell": OWN, "num_layers": 2}),
    ({"cell": OWN, "bidirectional": False}, {"cell": "gru-reset-before"}),
]


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
@pytest.mark.parametrize("kind", [{}, {"attention": "none"}, {"attend": "before"}])
def test_any_two_cells_are_bridged(encoder, decoder, kind):
    model, data = network(encoder, decoder, **kind), batch()
    model.loss(data).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        if name.startswith("bridge"):
            assert parameter.grad.any(), name


def test_equal_states_are_handed_over_as_they_are():
    shape = {"cell": "lstm", "hidden_size": 8, "num_layers": 2, "bidirectional": False}
    model, data = network(shape, shape, attention="none"), batch()
    _, states = model.encoder(data["source"], data["source_lengths"])
    state = model.encode(data["source"], data["source_lengths"])
    for layer, parts in enumerate(state.layers):
        for got, wanted in zip(parts, states, strict=True):
            assert torch.equal(got, wanted[layer])
    assert not list(model.bridge.parameters())


def test_a_normaliser_starts_where_its_cell_starts_it():
    model, data = network({"cell": "slstm"}, {"cell": "slstm"}), batch()
    h, c, n, m = model.encode(data["source"], data["source_lengths"]).layers[0]
    assert h.any() and c.any() and not n.any() and not m.any()


GRADCHECKED = [
    {},
    {"input_feeding": False, "attention": "additive"},
    {"attend": "before", "attention": "additive"},
    {"attention": "none"},
    {"tie_embeddings": True, "label_smoothing": 0.1},
    {"attention": "none", "tie_embeddings": True},
]


@pytest.mark.parametrize("kind", GRADCHECKED)
def test_gradcheck_of_the_whole_loss(kind):
    model = network({"num_layers": 2, "hidden_size": 2}, {"hidden_size": 3}, embedding_size=2, **kind)
    data = batch((3, 1), (2, 3))
    # A random direction in all weights at once; the parts are checked entry by entry where they are tested.
    assert torch.autograd.gradcheck(lambda *_: model.loss(data).total, tuple(model.parameters()), fast_mode=True)


def test_label_smoothing_is_of_training_alone():
    model, data = network(label_smoothing=0.2), batch()
    logits = stepped_logits(model, data).flatten(0, 1)
    target = data["target"].flatten()
    for training in (True, False):
        expected = F.cross_entropy(
            logits, target, ignore_index=IGNORED, reduction="sum", label_smoothing=0.2 if training else 0.0
        )
        torch.testing.assert_close(model.train(training).loss(data).total, expected)


@pytest.mark.parametrize("forcing", ["teacher", "professor"])
def test_the_loss_without_smoothing_is_reported(forcing):
    model, data = network(label_smoothing=0.2, forcing=forcing), batch()
    reported = model.loss(data).reported
    assert not reported.requires_grad
    torch.testing.assert_close(reported, model.eval().loss(data).total.detach())
    assert network(forcing=forcing).loss(data).reported is None


@pytest.mark.parametrize(
    ("options", "one"),
    [
        ({}, True),
        ({"label_smoothing": 0.2}, True),
        ({"forcing": "professor"}, True),
        ({"forcing": "scheduled"}, False),
        ({"forcing": "free"}, False),
        ({"hard": True}, False),
    ],
)
def test_what_reads_its_own_tokens_or_draws_where_to_look_has_another_loss_in_training(options, one):
    assert network(**options).comparable_losses == one


def test_dropout_is_of_training_alone_and_in_every_path():
    for kind in ({}, {"input_feeding": False}, {"attend": "before"}, {"attention": "none"}):
        for variational in (False, True):
            dropped = {"dropout": 0.5, "variational": variational}
            model, data = network(dropped, dropped, **kind), batch()
            assert model.loss(data).total != model.loss(data).total
            model.eval()
            assert model.loss(data).total == model.loss(data).total


@pytest.mark.parametrize("variational", [False, True])
@pytest.mark.parametrize("kind", [{}, {"input_feeding": False}, {"attend": "before"}])
def test_dropout_of_what_enters_the_output_layer(kind, variational):
    model, data = network(decoder={"dropout": 0.5, "variational": variational, "num_layers": 1}, **kind), batch()
    model.decoder.dropout = nn.Identity()
    state = model.encode(data["source"], data["source_lengths"])
    dropped = model.decoder(data["target_input"], state).vectors == 0
    assert 0.3 < dropped.double().mean() < 0.7
    assert bool((dropped == dropped[0]).all()) == variational
    assert model.eval().decoder(data["target_input"], state).vectors.all()


def test_shared_embeddings():
    torch.manual_seed(0)
    shape = RecurrentShape("gru", 4)
    model = EncoderDecoder(
        9, 9, begin=1, end=2, encoder=shape, decoder=shape, embedding_size=5, share_embeddings=True, tie_embeddings=True
    )
    assert model.encoder.embedding is model.decoder.embedding
    assert model.weight is model.encoder.embedding.weight
    assert sum(parameter.shape == (9, 5) for parameter in model.parameters()) == 1


@torch.no_grad()
@pytest.mark.parametrize(
    "kind", [{}, {"attend": "before"}, {"attention": "additive"}, {"attention": "none"}, {"hard": True}]
)
def test_selected_rows_go_on_as_they_would_alone(kind):
    model, data = network(**kind).eval(), batch()
    state = model.encode(data["source"], data["source_lengths"])
    tokens = torch.tensor([3, 4, 5, 6])
    _, state = model.step(tokens, state)
    for rows in ([0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 2, 2], [1, 0, 0, 3], [3, 1], [2], [0, 1, 2, 3], []):
        chosen = torch.tensor(rows, dtype=torch.long)
        logits, _ = model.step(torch.full((len(rows),), 7), model.select(state, chosen))
        for place, row in enumerate(rows):
            alone, after = model.step(torch.tensor([7]), model.select(state, torch.tensor([row])))
            torch.testing.assert_close(logits[place], alone[0])
            if kind.get("attention") != "none":
                assert model.attention(after).shape == (1, 6)


@torch.no_grad()
def test_the_beams_of_a_source_share_its_memory():
    model, data = network().eval(), batch()
    state = model.encode(data["source"], data["source_lengths"])
    beams = model.select(state, torch.arange(4).repeat_interleave(3))
    assert beams.memory is state.memory
    _, beams = model.step(torch.full((12,), 3), beams)
    reordered = model.select(beams, torch.tensor([2, 2, 0, 3, 4, 4, 6, 6, 6, 9, 11, 10]))
    assert reordered.memory is state.memory
    assert reordered.weights.shape == (12, 6)
    fewer = model.select(reordered, torch.arange(3, 9))
    assert len(fewer.memory) == 2
    torch.testing.assert_close(fewer.memory.values, state.memory.values[1:3])


@torch.no_grad()
@pytest.mark.parametrize("kind", [{}, {"attend": "before", "attention": "additive"}, {"attention": "none"}])
@pytest.mark.parametrize("beams", [1, 3])
def test_decoding_a_batch_is_decoding_one_by_one(kind, beams):
    model, data = network(**kind).eval(), batch((6, 3, 1, 4))
    settings = DecodingSettings(max_new_tokens=7, num_beams=beams, num_return_sequences=beams, end_token=END)
    state = model.encode(data["source"], data["source_lengths"])
    together = generate(model, torch.full((4,), BEGIN), state, settings)
    for row, length in enumerate(data["source_lengths"].tolist()):
        state = model.encode(data["source"][:length, [row]], data["source_lengths"][[row]])
        (alone,) = generate(model, torch.tensor([BEGIN]), state, settings)
        assert [made.tokens for made in alone] == [made.tokens for made in together[row]]
        assert [made.log_prob for made in alone] == pytest.approx([made.log_prob for made in together[row]])


@pytest.mark.parametrize("feeding", [True, False])
def test_hard_attention_learns_by_reward(feeding):
    model, data = network(hard=True, input_feeding=feeding, entropy=0.0), batch()
    scorer = model.decoder.attention.attention.memory.weight
    torch.manual_seed(1)
    first = model.loss(data)
    first.total.backward()
    assert scorer.grad.any() and scorer.grad.isfinite().all()
    assert float(model.baseline.mean) == pytest.approx(-first.total.item() / 12)
    assert model.baseline.reaches_later == feeding
    torch.manual_seed(1)
    again = F.cross_entropy(
        F.linear(
            model.decoder(data["target_input"], model.encode(data["source"], data["source_lengths"])).vectors,
            model.weight,
            model.output_bias,
        ).flatten(0, 1),
        data["target"].flatten(),
        reduction="sum",
    )
    torch.testing.assert_close(first.total, again, msg="the value of the loss is the cross entropy alone")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "genral"}, "Did you mean 'general'"),
        ({"attend": "during"}, "after or before"),
        ({"attention": "none", "hard": True}, "nothing to choose"),
        ({"attention": "dot", "decoder": {"hidden_size": 7}}, "one size, found 7 and 8"),
        ({"decoder": {"bidirectional": True}}, "one direction"),
        ({"share_embeddings": True}, "found 9 and 11 tokens"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"forcing": "teached"}, "Did you mean 'teacher'"),
        ({"feedback": "max"}, "feedback: expected one of argmax, sample"),
    ],
)
def test_options_that_do_not_fit_are_named(options, message):
    with pytest.raises(OptionError, match=message):
        network(**options)


def test_states_are_handed_over_by_name_and_not_by_place():
    class Swapped(LSTMCell):
        """An LSTM that declares its memory first."""

        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.states = {"c": hidden_size, "h": hidden_size}

        def forward(self, x, c, h):
            return super().forward(x, h, c)[::-1]

    assert Bridge(Recurrent(LSTMCell(3, 4)), Recurrent(LSTMCell(3, 4))).copies
    assert not Bridge(Recurrent(LSTMCell(3, 4)), Recurrent(Swapped(3, 4))).copies
