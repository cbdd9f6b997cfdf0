"""The canonical form of moves and of products of matrices: as few columns moved as can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steploom.program.gathers import is_stretch
from steploom.program.program import Argument, Order, Value

if TYPE_CHECKING:
    from steploom.program.builder import Builder

__all__ = ["outer_product", "product_with_vector", "simpler_gather", "simpler_matmul"]


def simpler_gather(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    """Neighbours are a slice, and moves one after the other are one."""
    source, order = args[0], attrs["order"]
    assert isinstance(source, Value)
    if is_stretch(order):
        return build("slice", source, start=order[0], stop=order[0] + len(order))
    maker = build.maker(source)
    if maker is None:
        return None
    if maker.op == "gather":
        first = maker.attrs["order"]
        return build("gather", maker.args[0], order=tuple(column if column < 0 else first[column] for column in order))
    if maker.op == "fill" and (min(order) >= 0 or maker.attrs["value"] == 0):
        return build("fill", width=len(order), value=maker.attrs["value"])
    return None


def simpler_matmul(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    """A matrix that was transposed is read as it lay before; a matrix by a column is a row by its transpose."""
    left, right = args
    groups, n, k, m = attrs["groups"], attrs["n"], attrs["k"], attrs["m"]
    turned = {"left_transposed": attrs["left_transposed"], "right_transposed": attrs["right_transposed"]}
    if m == 1 and n > 1:
        lies = {"left_transposed": 0, "right_transposed": 1 - turned["left_transposed"]}
        return build("matmul", right, left, groups=groups, n=1, k=k, m=n, **lies)
    if n == 1 or k == 1:
        turned["left_transposed"] = 0
    if k == 1:
        turned["right_transposed"] = 0
    sides = (("left_transposed", (n, k)), ("right_transposed", (k, m)))
    found = [left, right]
    for place, (side, sizes) in enumerate(sides):
        before = _before_transposition(build, args[place], groups, sizes[::-1] if turned[side] else sizes)
        other = sides[1 - place][0]
        if before is not None and not (turned[other] and not turned[side]):
            found[place] = before
            turned[side] = 1 - turned[side]
    if found == args and all(attrs[side] == lies for side, lies in turned.items()):
        return None
    return build("matmul", *found, groups=groups, n=n, k=k, m=m, **turned)


def outer_product(build: Builder, a: Argument, b: Argument) -> Argument | None:
    """A product of the columns of one value, each repeated, with those of another, repeated as a whole; or None."""
    for left, right in ((a, b), (b, a)):
        column, row = build.maker(left), build.maker(right)
        if column is None or row is None or column.op != "expand":
            continue
        m = column.out.width // _width(column.args[0])
        repeated = _repeated(build, right, m)
        if repeated is not None:
            source, groups, n = repeated
            sizes = {"groups": groups, "n": n, "k": 1, "m": m}
            return build("matmul", column.args[0], source, **sizes, left_transposed=0, right_transposed=0)
    return None


def product_with_vector(build: Builder, summed: Argument, sums: int) -> Argument | None:
    """The sums over the rows of matrices that were multiplied by a vector repeated for each row; or None."""
    maker = build.maker(summed)
    if maker is None or maker.op != "mul":
        return None
    k = maker.out.width // sums
    for matrix, vector in (maker.args, maker.args[::-1]):
        repeated = _repeated(build, vector, k)
        if repeated is not None and isinstance(matrix, Value) and matrix.kind == "rows":
            source, groups, m = repeated
            sizes = {"groups": groups, "n": 1, "k": k, "m": m}
            return build("matmul", source, matrix, **sizes, left_transposed=0, right_transposed=1)
    return None


def _repeated(build: Builder, value: Argument, size: int) -> tuple[Value, int, int] | None:
    """What a value repeats, `size` columns at a time: their source, of how many such groups it is, and how often each
    of them stands there."""
    maker = build.maker(value)
    if maker is None or maker.op != "gather":
        return None
    source, order = maker.args[0], maker.attrs["order"]
    assert isinstance(source, Value)
    groups = source.width // size
    if not groups or source.width % size or len(order) % source.width:
        return None
    times = len(order) // source.width
    expected = (g * size + j for g in range(groups) for _ in range(times) for j in range(size))
    return (source, groups, times) if all(c == e for c, e in zip(order, expected, strict=True)) else None


def _before_transposition(build: Builder, value: Argument, groups: int, sizes: tuple[int, int]) -> Value | None:
    """What the matrices (rows, columns) in a value were before they were transposed; None where they were not."""
    maker = build.maker(value)
    if maker is None or maker.op != "gather":
        return None
    source, order = maker.args[0], maker.attrs["order"]
    assert isinstance(source, Value)
    return source if source.width == len(order) and _transposes(order, groups, sizes) else None


def _transposes(order: Order, groups: int, sizes: tuple[int, int]) -> bool:
    rows, columns = sizes
    expected = (g * rows * columns + j * rows + i for g in range(groups) for i in range(rows) for j in range(columns))
    return all(column == place for column, place in zip(order, expected, strict=True))


def _width(argument: Argument) -> int:
    assert not isinstance(argument, float)
    return argument.width
