"""Products of matrices that states hold, one a row of the batch: the primitive `matmul` and its derivative."""

from __future__ import annotations

from torch import Tensor

from steploom.program.program import Argument, Instruction
from steploom.program.rules import Emitter, Gradients

__all__ = ["matmul_columns", "matmul_gradient"]


def matmul_columns(
    left: Tensor, right: Tensor, *, groups: int, n: int, k: int, m: int, left_transposed: int, right_transposed: int
) -> Tensor:
    """`groups` products (n, k) by (k, m) side by side; a transposed matrix lies there as (k, n), or as (m, k)."""
    rows = left.shape[:-1]
    a = left.reshape(*rows, groups, k, n).mT if left_transposed else left.reshape(*rows, groups, n, k)
    b = right.reshape(*rows, groups, m, k).mT if right_transposed else right.reshape(*rows, groups, k, m)
    return (a @ b).reshape(*rows, groups * n * m)


def matmul_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """Y = A B: dA = dY Bᵀ and dB = Aᵀ dY, each as its matrix lies. One of A and B lies as it is."""
    a, b = i.args
    groups, n, k, m = (int(i.attrs[name]) for name in ("groups", "n", "k", "m"))
    a_turned, b_turned = i.attrs["left_transposed"], i.attrs["right_transposed"]

    def product(left: Argument, right: Argument, sizes: tuple[int, int, int], turned: tuple[int, int]) -> Argument:
        rows, inner, columns = sizes
        lies = {"left_transposed": turned[0], "right_transposed": turned[1]}
        return e("matmul", left, right, groups=groups, n=rows, k=inner, m=columns, **lies)

    of_a = product(b, g, (k, m, n), (0, 1)) if a_turned else product(g, b, (n, m, k), (0, 1 - b_turned))
    of_b = product(g, a, (m, n, k), (1, 0)) if b_turned else product(a, g, (k, n, m), (1 - a_turned, 0))
    return [of_a, of_b]
