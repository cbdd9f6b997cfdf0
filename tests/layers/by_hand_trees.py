"""Tree networks node by node, as their papers write them: what the layers are compared with."""

import torch

__all__ = ["by_hand", "random_parents"]


def random_parents(count, most_children, generator):
    """A random tree of `count` nodes or more, as parents; a parent stands behind its children."""
    open_nodes, parents, made = [0], [-1], 1
    while made < count:
        node = open_nodes.pop(int(torch.randint(len(open_nodes), (), generator=generator)))
        for _ in range(int(torch.randint(1, most_children + 1, (), generator=generator))):
            parents.append(node)
            open_nodes.append(made)
            made += 1
    # From the root down to the root last.
    return [-1 if parents[made - 1 - n] < 0 else made - 1 - parents[made - 1 - n] for n in range(made)]


def by_hand(cell, x, parents):
    """h of each node; `x` one input a node, None where there is none."""
    children = [[c for c, p in enumerate(parents) if p == node] for node in range(len(parents))]
    states = []
    for node in range(len(parents)):
        below = [states[c] for c in children[node]]
        states.append(STEPS[type(cell).__name__](cell, x[node], below))
    return torch.stack([state[0] for state in states])


def recursive(cell, x, below):
    vector = None if x is None else cell.input(x)
    if not below:
        return (vector,)
    size, layer = cell.hidden_size, cell.children_to_hidden
    total = layer.bias.clone()
    for k, (h,) in enumerate(below):
        total = total + layer.weight[:, k * size : (k + 1) * size] @ h
    return (torch.tanh(total if vector is None else total + vector),)


def nary(cell, x, below):
    size = cell.hidden_size
    w_i, w_o, w_u, w_f = cell.input.weight.split(size)
    b_i, b_o, b_u, b_f = cell.input.bias.split(size)
    u_i, u_o, u_u, *u_f = cell.children_to_gates.weight.split(size)

    def gate(w, b, u):
        total = b if x is None else w @ x + b
        for k, (h, _) in enumerate(below):
            total = total + u[:, k * size : (k + 1) * size] @ h
        return total

    c = torch.sigmoid(gate(w_i, b_i, u_i)) * torch.tanh(gate(w_u, b_u, u_u))
    for k, (_, below_c) in enumerate(below):
        c = c + torch.sigmoid(gate(w_f, b_f, u_f[k])) * below_c
    return torch.sigmoid(gate(w_o, b_o, u_o)) * torch.tanh(c), c


def child_sum(cell, x, below):
    size = cell.hidden_size
    w_i, w_o, w_u, w_f = cell.input.weight.split(size)
    b_i, b_o, b_u, b_f = cell.input.bias.split(size)
    u_i, u_o, u_u = cell.sum_to_gates.weight.split(size)
    total = sum((h for h, _ in below), torch.zeros(size, dtype=b_i.dtype))

    def gate(w, b, u, h):
        return u @ h + (b if x is None else w @ x + b)

    c = torch.sigmoid(gate(w_i, b_i, u_i, total)) * torch.tanh(gate(w_u, b_u, u_u, total))
    for h, below_c in below:
        c = c + torch.sigmoid(gate(w_f, b_f, cell.child_to_forget.weight, h)) * below_c
    return torch.sigmoid(gate(w_o, b_o, u_o, total)) * torch.tanh(c), c


STEPS = {"RecursiveCell": recursive, "NaryTreeLSTMCell": nary, "ChildSumTreeLSTMCell": child_sum}
