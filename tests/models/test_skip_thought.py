"""The skip-thought network against its definition, sentence by sentence."""

import pytest
import torch

from steploom.data.text.neighbours import NeighbourBatches, sentence_columns
from steploom.models.recurrent_shape import RecurrentShape
from steploom.models.skip_thought import SkipThought

BEGIN, END = 1, 2
DOCUMENTS = [[[3, 4, 5], [6], [7, 8, 9, 3, 4]], [[5, 5], [9, 8]]]


def network(pooling="all", cell="gru", bidirectional=True, **options):
    torch.manual_seed(0)
    encoder = RecurrentShape(cell=cell, hidden_size=5, num_layers=2, bidirectional=bidirectional)
    decoder = RecurrentShape(cell=cell, hidden_size=4)
    made = SkipThought(10, encoder=encoder, decoder=decoder, embedding_size=3, pooling=pooling, **options)
    return made.double().eval()


def alone(net, sentence):
    return net.vectors(torch.tensor(sentence)[:, None], torch.tensor([len(sentence)]))[0]


def written(net, side, vector, sentence):
    """The log-probability of a neighbour, from the definition, step by step."""
    decoder, embed = net.decoders[side], net.embedding
    state = torch.tanh(net.first_states[side](vector))
    states = [state[None], *(part[0] for part in decoder.initial_state(1)[1:])]
    total = 0.0
    for read, wanted in zip([BEGIN, *sentence], [*sentence, END], strict=True):
        x = torch.cat([embed.weight[read], net.contexts[side](vector)])[None]
        states = list(decoder.cell(x, *states))
        logits = torch.nn.functional.linear(net.bridge(states[0]), net.weight, net.output_bias)
        total += logits.log_softmax(-1)[0, wanted]
    return total


@pytest.mark.parametrize("options", [{}, {"tie_embeddings": True}, {"cell": "lstm", "pooling": "last"}])
def test_the_loss_is_that_of_both_neighbours_of_every_sentence(options):
    net = network(**options)
    batches = NeighbourBatches(DOCUMENTS, BEGIN, END, 3, 0)
    losses = [net.loss(batches.batch(0, index), None) for index in range(len(batches))]
    expected, terms = 0.0, 0
    for document in DOCUMENTS:
        for place, sentence in enumerate(document):
            vector = alone(net, sentence)
            for side, other in (("before", place - 1), ("after", place + 1)):
                if 0 <= other < len(document):
                    expected -= written(net, side, vector, document[other])
                    terms += len(document[other]) + 1
    torch.testing.assert_close(sum(loss.total for loss in losses), expected)
    assert sum(int(loss.weight) for loss in losses) == terms == batches.targets


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "all"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_vector_does_not_depend_on_what_is_beside_it(pooling, bidirectional):
    net = network(pooling, bidirectional=bidirectional)
    sentences = [[3, 4, 5], [6], [7, 8, 9, 3, 4, 4]]
    found = net.vectors(*sentence_columns(sentences, END))
    assert found.shape == (3, net.vector_size)
    for sentence, vector in zip(sentences, found, strict=True):
        torch.testing.assert_close(vector, alone(net, sentence))


def test_what_the_poolings_are():
    net, sentence = network("all"), torch.tensor([[3], [9], [4]])
    y, state = net.encoder(net.embedding(sentence))
    last = torch.cat([y[-1, :, :5], y[0, :, 5:]], -1)
    torch.testing.assert_close(last[0], torch.cat([state[0][-2, 0], state[0][-1, 0]]))
    expected = torch.cat([last, y.mean(0), y.amax(0)], -1)
    torch.testing.assert_close(net.vectors(sentence, torch.tensor([3])), expected)


@pytest.mark.parametrize("pooling", ["last", "all"])
def test_gradients(pooling):
    net = network(pooling).train()
    batch = NeighbourBatches(DOCUMENTS, BEGIN, END, 5, 0).batch(0, 0)
    parameters = dict(net.named_parameters())

    def loss(*values):
        named = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(net, named, (batch,))[0].square().sum()

    values = tuple(value.detach().requires_grad_() for value in parameters.values())
    assert torch.autograd.gradcheck(loss, values, fast_mode=True)
    net.loss(batch, None).total.backward()
    assert all(value.grad is not None and value.grad.any() for value in parameters.values())


def test_dropped_words_are_read_as_unknown_in_training_alone():
    net = network(word_dropout=0.9, unknown=0)
    batch = NeighbourBatches(DOCUMENTS, BEGIN, END, 5, 0).batch(0, 0)
    plain = net.loss(batch, None).total
    torch.testing.assert_close(plain, net.loss(batch, None).total)
    net.train()
    torch.manual_seed(1)
    first = net.loss(batch, None).total
    assert not torch.isclose(first, plain)
    torch.manual_seed(1)
    torch.testing.assert_close(first, net.loss(batch, None).total)


@pytest.mark.parametrize("cell", ["slstm", "indrnn", "minlstm", "lstm-projected", "mogrifier-lstm"])
def test_other_cells(cell):
    loss = network(cell=cell).train().loss(NeighbourBatches(DOCUMENTS, BEGIN, END, 5, 0).batch(0, 0), None)
    loss.total.backward()
    assert torch.isfinite(loss.total)
