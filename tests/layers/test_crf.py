"""The conditional random field against all sequences of tags, one by one."""

import itertools

import pytest
import torch

from steploom.errors import OptionError
from steploom.layers.crf import CRF, Constraints

CASES = [(1, [3, 1]), (2, [1, 1]), (3, [5, 1, 4, 2]), (4, [4, 3]), (5, [1])]


def random_crf(tags, seed=0, scale=1.0, **options):
    crf = CRF(tags, **options).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for scores in crf.parameters():
            scores.copy_(torch.randn(scores.shape, generator=generator, dtype=torch.double) * scale)
    return crf


def random_emissions(lengths, tags, seed=1, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(max(lengths), len(lengths), tags, generator=generator, dtype=torch.double) * scale


def random_constraints(tags, seed):
    """Tags 0 and 1 may do all, so that every length has a sequence; the others what chance says."""
    generator = torch.Generator().manual_seed(seed)
    start, end = (torch.rand(tags, generator=generator) < 0.5 for _ in range(2))
    transitions = torch.rand(tags, tags, generator=generator) < 0.5
    start[:1] = end[:1] = transitions[:1] = transitions[:, :1] = True
    return Constraints(start, transitions, end)


def all_sequences(crf, emissions, length, constraints=None):
    """Each allowed sequence of tags of one sentence (time, tags) with its score."""
    found = {}
    for tags in itertools.product(range(crf.tags), repeat=length):
        pairs = list(itertools.pairwise(tags))
        if constraints is not None:
            fits = constraints.start[tags[0]] and constraints.end[tags[-1]]
            if not fits or not all(constraints.transitions[i, j] for i, j in pairs):
                continue
        score = crf.start[tags[0]] + crf.end[tags[-1]] + sum(emissions[t, tag] for t, tag in enumerate(tags))
        found[tags] = float(score.detach() + sum(crf.transitions[i, j].detach() for i, j in pairs))
    return found


@pytest.mark.parametrize(("tags", "lengths"), CASES)
@pytest.mark.parametrize("constrained", [False, True])
def test_the_sum_the_best_and_the_marginals_are_those_over_all_sequences(tags, lengths, constrained):
    constraints = random_constraints(tags, seed=tags) if constrained else None
    crf = random_crf(tags, constraints=constraints, constrain_training=constrained)
    emissions, sizes = random_emissions(lengths, tags), torch.tensor(lengths)
    totals, best = crf.log_partition(emissions, sizes), crf.decode(emissions, sizes)
    marginals = crf.marginals(emissions, sizes)
    for row, length in enumerate(lengths):
        scores = all_sequences(crf, emissions[:, row], length, constraints)
        values = torch.tensor(list(scores.values()), dtype=torch.double)
        assert torch.allclose(totals[row], torch.logsumexp(values, 0), rtol=0, atol=1e-10)
        assert best[:length, row].tolist() == list(max(scores, key=lambda sequence: scores[sequence]))
        assert best[length:, row].eq(0).all() and marginals[length:, row].eq(0).all()
        wanted = torch.zeros(length, tags, dtype=torch.double)
        for sequence, share in zip(scores, torch.softmax(values, 0), strict=True):
            wanted[range(length), sequence] += share
        assert torch.allclose(marginals[:length, row], wanted, rtol=0, atol=1e-10)


def test_constraints_hold_in_decoding_though_training_knows_nothing_of_them():
    constraints = random_constraints(4, seed=3)
    crf, free = random_crf(4, constraints=constraints), random_crf(4)
    emissions, lengths = random_emissions([4] * 20, 4), torch.full((20,), 4)
    assert torch.equal(crf.log_partition(emissions, lengths), free.log_partition(emissions, lengths))
    assert not torch.equal(crf.decode(emissions, lengths), free.decode(emissions, lengths))
    for row, tags in enumerate(crf.decode(emissions, lengths).t().tolist()):
        scores = all_sequences(crf, emissions[:, row], 4, constraints)
        assert tuple(tags) == max(scores, key=lambda sequence: scores[sequence])


@pytest.mark.parametrize("constrained", [False, True])
def test_the_probabilities_of_all_sequences_sum_to_one(constrained):
    constraints = random_constraints(3, seed=1)
    crf = random_crf(3, constraints=constraints, constrain_training=constrained)
    emissions = random_emissions([4], 3)
    sequences = list(all_sequences(crf, emissions[:, 0], 4, constraints if constrained else None))
    count = len(sequences)
    assert (count < 81) == constrained
    log_probs = crf.log_likelihood(
        emissions.expand(-1, count, -1), torch.tensor(sequences).t(), torch.full((count,), 4)
    )
    assert float(log_probs.detach().exp().sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("constrained", [False, True])
def test_gradients(constrained):
    crf = random_crf(3, constraints=random_constraints(3, seed=5), constrain_training=constrained)
    emissions = random_emissions([4, 1, 3], 3).requires_grad_()
    lengths = torch.tensor([4, 1, 3])
    tags = crf.decode(emissions, lengths)
    names = list(dict(crf.named_parameters()))

    def log_likelihood(emissions, *values):
        named = dict(zip(names, values, strict=True))
        return torch.func.functional_call(crf, named, (emissions, tags, lengths))

    crf.forward = crf.log_likelihood
    assert torch.autograd.gradcheck(log_likelihood, (emissions, *crf.parameters()))


def test_padding_has_no_influence_and_a_batch_is_one_by_one():
    crf = random_crf(4, constraints=random_constraints(4, seed=2))
    lengths = [5, 1, 3, 2]
    emissions, sizes = random_emissions(lengths, 4), torch.tensor(lengths)
    tags = torch.randint(4, (5, 4), generator=torch.Generator().manual_seed(0))
    spoilt, other_tags = emissions.clone(), tags.clone()
    for row, length in enumerate(lengths):
        spoilt[length:, row], other_tags[length:, row] = float("nan"), -100
    for method, arguments, others in [
        (crf.log_likelihood, (emissions, tags), (spoilt, other_tags)),
        (crf.decode, (emissions,), (spoilt,)),
        (crf.marginals, (emissions,), (spoilt,)),
    ]:
        whole = method(*arguments, sizes)
        assert torch.equal(whole, method(*others, sizes))
        for row, length in enumerate(lengths):
            alone = method(*(value[:length, row : row + 1] for value in arguments), sizes[row : row + 1])
            part = whole[row] if whole.dim() == 1 else whole[:length, row]
            assert torch.allclose(part, alone[..., 0] if whole.dim() < 3 else alone[:, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_huge_scores_stay_numbers(kind):
    constraints = random_constraints(4, seed=4)
    crf = random_crf(4, scale=1e4, constraints=constraints, constrain_training=True).to(kind)
    emissions = random_emissions([6, 2], 4, scale=1e4).to(kind).requires_grad_()
    lengths = torch.tensor([6, 2])
    best = crf.decode(emissions, lengths)
    log_probs = crf.log_likelihood(emissions, best, lengths)
    # Of scores so far apart the best has it all.
    assert torch.allclose(log_probs, torch.zeros_like(log_probs), rtol=0, atol=0.1)
    log_probs.sum().backward()
    for value in (emissions, *crf.parameters()):
        assert value.grad.isfinite().all()
    for row, length in enumerate([6, 2]):
        scores = all_sequences(crf.double(), emissions.detach().double()[:, row], length, constraints)
        assert tuple(best[:length, row].tolist()) == max(scores, key=lambda sequence: scores[sequence])


def test_a_tag_far_behind_is_not_lost():
    """exp(a - max a) @ exp(T), which is quicker, would lose it: the only way is by a tag 1000 nats behind."""
    crf = random_crf(2, scale=0)
    with torch.no_grad():
        crf.transitions.copy_(torch.tensor([[0.0, -5000.0], [-5000.0, 0.0]]))
        crf.end[0] = -9000
    emissions = torch.zeros(3, 1, 2, dtype=torch.double)
    emissions[0, 0, 1] = -1000
    assert float(crf.log_partition(emissions, torch.tensor([3])).detach()) == pytest.approx(-1000, abs=1e-6)


def test_the_engines_agree():
    emissions, lengths = random_emissions([5, 2, 4], 3), torch.tensor([5, 2, 4])
    native, reference = (random_crf(3, engine=engine) for engine in ("native", "reference"))
    assert native.sum.explain().startswith("native") and native.best.explain().startswith("native")
    assert torch.allclose(native.log_partition(emissions, lengths), reference.log_partition(emissions, lengths))
    assert torch.equal(native.decode(emissions, lengths), reference.decode(emissions, lengths))


def test_it_learns_what_emissions_do_not_say():
    torch.manual_seed(0)
    crf, lengths = CRF(2), torch.full((8,), 6)
    emissions = torch.zeros(6, 8, 2)
    tags = torch.tensor([0, 1, 0, 1, 0, 1])[:, None].expand(6, 8)
    optimizer = torch.optim.Adam(crf.parameters(), lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        loss = -crf.log_likelihood(emissions, tags, lengths).mean()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1
    assert torch.equal(crf.decode(emissions, lengths), tags)


def test_the_state_has_only_what_is_learnt():
    assert set(CRF(3).state_dict()) == {"start", "end", "sum.cells.0.transitions"}


@pytest.mark.parametrize(
    ("start", "transitions", "end", "message"),
    [
        ([0, 0], [[1, 1], [1, 1]], [1, 1], "no way from the start to tag 0"),
        ([1, 0], [[1, 0], [1, 1]], [1, 1], "no way from the start to tag 1"),
        ([1, 1], [[1, 1], [0, 1]], [1, 0], "no way to the end from tag 1"),
        ([1, 1], [[1, 1], [1, 1]], [0, 0], "no way to the end from tag 0"),
        ([1], [[1, 1], [1, 1]], [1, 1], r"constraints must be \(2,\)"),
    ],
)
def test_constraints_that_leave_a_tag_out_are_refused(start, transitions, end, message):
    with pytest.raises(OptionError, match=message):
        CRF(2, constraints=Constraints(*(torch.tensor(part) for part in (start, transitions, end))))


def test_a_length_without_an_allowed_sequence_is_refused():
    two_by_two = Constraints(torch.tensor([1, 0]), torch.tensor([[0, 1], [1, 0]]), torch.tensor([0, 1]))
    crf = CRF(2, constraints=two_by_two)
    assert crf.decode(torch.zeros(4, 1, 2), torch.tensor([4]))[:, 0].tolist() == [0, 1, 0, 1]
    with pytest.raises(OptionError, match="the constraints allow no sequence of 3 tags"):
        crf.decode(torch.zeros(4, 2, 2), torch.tensor([4, 3]))


def test_a_forbidden_sequence_is_refused_in_training():
    constraints = Constraints(torch.ones(2), torch.tensor([[1, 1], [0, 1]]), torch.ones(2))
    crf = CRF(2, constraints=constraints, constrain_training=True)
    tags = torch.tensor([[0, 1], [1, 0]])
    with pytest.raises(OptionError, match="the tags of sequence 1 of the batch break the constraints"):
        crf.log_likelihood(torch.zeros(2, 2, 2), tags, torch.tensor([2, 2]))
    assert crf.log_likelihood(torch.zeros(2, 2, 2), tags, torch.tensor([2, 1])).isfinite().all()


@pytest.mark.parametrize(
    ("emissions", "tags", "lengths", "message"),
    [
        ((4, 2, 5), (4, 2), [4, 2], "emissions must be .* with 3 tags"),
        ((4, 3), (4, 2), [4, 2], "emissions must be"),
        ((4, 2, 3), (4, 1), [4, 2], "tags must be"),
        ((4, 2, 3), (4, 2), [4, 0], "lengths must lie between 1 and 4, found 0 to 4"),
        ((4, 2, 3), (4, 2), [5, 1], "lengths must lie between 1 and 4, found 1 to 5"),
        ((4, 2, 3), (4, 2), [4], "lengths must be"),
    ],
)
def test_wrong_shapes_are_named(emissions, tags, lengths, message):
    with pytest.raises(OptionError, match=message):
        CRF(3).log_likelihood(torch.zeros(emissions), torch.zeros(tags).long(), torch.tensor(lengths))


def test_no_tags_and_no_sequences():
    with pytest.raises(OptionError, match="tags must be a whole number of at least 1"):
        CRF(0)
    crf, none = CRF(3), torch.zeros(2, 0, 3)
    assert crf.log_likelihood(none, torch.zeros(2, 0).long(), torch.zeros(0).long()).shape == (0,)
    assert crf.decode(none, torch.zeros(0).long()).shape == (2, 0)
