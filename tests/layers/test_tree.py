"""Tree networks over forests: the equations node by node, gradients, batches."""

import pytest
import torch

from steploom.errors import OptionError
from steploom.layers.forest import Forest
from steploom.layers.tree import TreeNetwork
from steploom.layers.tree_cells import ChildSumTreeLSTMCell, NaryTreeLSTMCell, RecursiveCell
from tests.layers.by_hand_trees import by_hand, random_parents

CELLS = [RecursiveCell, NaryTreeLSTMCell, ChildSumTreeLSTMCell]
# A leaf; a chain; two leaves of one parent; a leaf beside a deep subtree; a node of three, one of them unary.
TREES = {
    "leaf": [-1],
    "chain": [1, 2, 3, -1],
    "pair": [2, 2, -1],
    "uneven": [2, 2, 4, 4, 6, 6, -1],
    "wide": [5, 2, 5, 4, 5, 6, -1],
}


def made(kind, input_size, hidden_size, arity=3):
    torch.manual_seed(0)
    extra = () if kind is ChildSumTreeLSTMCell else (arity,)
    cell = kind(input_size, hidden_size, *extra).double()
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter, 0, 0.5)
    return TreeNetwork(cell)


def joined(trees):
    """The parents of several trees in one list."""
    parents = []
    for tree in trees:
        begin = len(parents)
        parents += [p if p < 0 else p + begin for p in tree]
    return parents


def grown(parents):
    forest, number = Forest.grow(torch.tensor(parents))
    return forest, number, torch.tensor([node not in set(parents) for node in range(len(parents))])


def outputs(network, parents, x, everywhere):
    """h of each node in the order of `parents`; `x` (nodes, size)."""
    forest, number, leaf = grown(parents)
    sorted_x = torch.empty_like(x).index_copy(0, number, x)
    return network(sorted_x if everywhere else sorted_x[: int(leaf.sum())], forest)[number]


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("name", [*TREES, "all", "random"])
def test_a_forest_is_what_its_nodes_are_one_by_one(kind, name, everywhere):
    generator = torch.Generator().manual_seed(3)
    trees = {"all": list(TREES.values()), "random": [random_parents(n, 3, generator) for n in (1, 9, 40, 17)]}
    parents = joined(trees.get(name, [TREES.get(name)]))
    network = made(kind, 4, 5)
    x = torch.randn(len(parents), 4, dtype=torch.float64, generator=generator)
    leaf = grown(parents)[2]
    expected = by_hand(network.cell, [v if everywhere or leaf[n] else None for n, v in enumerate(x)], parents)
    torch.testing.assert_close(outputs(network, parents, x, everywhere), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_gradients(kind, everywhere):
    network = made(kind, 2, 3)
    parents = joined([TREES["wide"], TREES["leaf"], TREES["uneven"]])
    x = torch.randn(len(parents), 2, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in network.named_parameters()]

    def run(x, *values):
        weights = dict(zip(names, values, strict=True))
        forest, number, leaf = grown(parents)
        sorted_x = torch.empty_like(x).index_copy(0, number, x)
        given = sorted_x if everywhere else sorted_x[: int(leaf.sum())]
        return torch.func.functional_call(network, weights, (given, forest))

    assert torch.autograd.gradcheck(run, (x, *network.parameters()))


@pytest.mark.parametrize("kind", CELLS)
def test_a_batch_is_its_trees_one_by_one(kind):
    generator = torch.Generator().manual_seed(1)
    trees = [random_parents(int(n), 3, generator) for n in torch.randint(1, 60, (25,), generator=generator)]
    network = made(kind, 4, 4)
    x = torch.randn(sum(map(len, trees)), 4, dtype=torch.float64, generator=generator)
    alone = [
        outputs(network, tree, part, False) for tree, part in zip(trees, x.split(list(map(len, trees))), strict=True)
    ]
    torch.testing.assert_close(outputs(network, joined(trees), x, False), torch.cat(alone), rtol=1e-12, atol=1e-12)


def mirrored(parents):
    """The tree with the children of every node in the reverse order, and the new number of each node."""
    children = [[c for c, p in enumerate(parents) if p == node] for node in range(len(parents))]
    order, stack = [], [len(parents) - 1]
    while stack:
        node = stack.pop()
        order.append(node)
        stack += reversed(children[node])
    # From the root down and the rightmost child last, turned round: children before parents, the right one first.
    order.reverse()
    new = {node: place for place, node in enumerate(order)}
    return [new[parents[node]] if parents[node] >= 0 else -1 for node in order], order


@pytest.mark.parametrize(
    ("kind", "same"), [(ChildSumTreeLSTMCell, True), (NaryTreeLSTMCell, False), (RecursiveCell, False)]
)
def test_the_order_of_children_is_nothing_to_the_child_sum_alone(kind, same):
    generator = torch.Generator().manual_seed(2)
    parents = random_parents(50, 3, generator)
    turned, order = mirrored(parents)
    network = made(kind, 4, 4)
    x = torch.randn(len(parents), 4, dtype=torch.float64, generator=generator)
    root = outputs(network, parents, x, False)[-1]
    assert torch.allclose(outputs(network, turned, x[order], False)[-1], root, rtol=1e-12, atol=1e-12) is same


def test_the_forget_gate_begins_open():
    for kind in (NaryTreeLSTMCell, ChildSumTreeLSTMCell):
        bias = kind(3, 4).input.bias
        assert bias.tolist() == [0.0] * 12 + [1.0] * 4


def test_a_level_is_a_few_products_however_many_trees_there_are():
    network = made(NaryTreeLSTMCell, 4, 4, 2)
    parents = joined([TREES["uneven"]] * 200)
    x = torch.randn(len(parents), 4, dtype=torch.float64)
    with torch.profiler.profile() as profile:
        outputs(network, parents, x, False)
    products = sum(e.count for e in profile.key_averages() if e.key in ("aten::mm", "aten::addmm"))
    assert products == 4


def test_a_tree_a_thousand_levels_high():
    depth = 1000
    network = made(ChildSumTreeLSTMCell, 2, 2)
    x = torch.randn(1, 2, dtype=torch.float64, requires_grad=True)
    forest, _ = Forest.grow(torch.tensor([*range(1, depth), -1]))
    network(x, forest)[-1].sum().backward()
    assert bool(torch.isfinite(x.grad).all())


def test_no_tree_at_all():
    network = made(NaryTreeLSTMCell, 2, 3)
    forest, number = Forest.grow(torch.zeros(0, dtype=torch.int64))
    assert len(forest) == forest.leaves == len(number) == 0
    assert network(torch.zeros(0, 2, dtype=torch.float64), forest).shape == (0, 3)


def test_more_children_than_the_cell_takes():
    forest, _ = Forest.grow(torch.tensor([3, 3, 3, -1]))
    with pytest.raises(OptionError, match="a node has 3 children; this cell takes 2 at most"):
        made(NaryTreeLSTMCell, 2, 3, 2)(torch.zeros(3, 2, dtype=torch.float64), forest)


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (3,)])
def test_inputs_that_do_not_fit(shape):
    forest, _ = Forest.grow(torch.tensor([3, 3, 3, -1]))
    with pytest.raises(OptionError, match=r"x: expected \(3 leaves or 4 nodes, 2\), found"):
        made(RecursiveCell, 2, 3)(torch.zeros(*shape, dtype=torch.float64), forest)


def test_a_cell_of_no_children():
    with pytest.raises(OptionError, match="arity: expected 1 or more children, found 0"):
        NaryTreeLSTMCell(2, 3, 0)
