"""The canonical form of an instruction: what it simplifies to, given what its arguments are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from steploom.program.gathers import is_stretch
from steploom.program.matrix_algebra import outer_product, product_with_vector, simpler_gather, simpler_matmul
from steploom.program.primitives import is_elementwise
from steploom.program.program import Argument, Instruction, Value

if TYPE_CHECKING:
    from steploom.program.builder import Builder

__all__ = ["simpler"]

_Rule = Callable[["Builder", list[Argument], dict[str, Any]], Argument | None]

MIRRORED = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}
COMPARISONS = {*MIRRORED, "eq", "ne"}


def simpler(build: Builder, op: str, args: Sequence[Argument], attrs: dict[str, Any]) -> Argument | None:
    """A simpler way to the result of an instruction that is about to be written, or None.

    Sums are reassociated and a division by a number becomes a product with its inverse; nothing else that changes how
    results are rounded is done.
    """
    filled = _without_fills(build, op, args)
    if filled is not None:
        return build(op, *filled, **attrs)
    narrow = _before_expansion(build, op, args)
    if narrow is not None:
        return narrow
    rule = _RULES.get(op)
    return rule(build, list(args), attrs) if rule is not None else None


def _without_fills(build: Builder, op: str, args: Sequence[Argument]) -> list[Argument] | None:
    """The arguments with numbers in the place of values that hold one number everywhere, if there are such."""
    if not is_elementwise(op) or op == "detach":
        return None
    changed = [_without_fill(build, argument) for argument in args]
    rows = [argument for argument in changed if isinstance(argument, Value) and argument.kind == "rows"]
    return changed if rows and changed != list(args) else None


def _before_expansion(build: Builder, op: str, args: Sequence[Argument]) -> Argument | None:
    """Arithmetic on a repeated column and numbers is done before the column is repeated."""
    makers = [build.maker(argument) for argument in args if not isinstance(argument, float)]
    if not is_elementwise(op) or op == "detach" or len(makers) != 1 or makers[0] is None or makers[0].op != "expand":
        return None
    narrow = [argument if isinstance(argument, float) else makers[0].args[0] for argument in args]
    return build("expand", build.rows(op, *narrow), width=makers[0].attrs["width"])


def _without_fill(build: Builder, argument: Argument) -> Argument:
    maker = build.maker(argument)
    if maker is not None and maker.op == "fill":
        return float(maker.attrs["value"])
    if maker is not None and maker.op == "add":
        filled, vector = build.maker(maker.args[0]), maker.args[1]
        if filled is not None and filled.op == "fill" and filled.attrs["value"] == 0:
            # A vector repeated for every row.
            return vector
    return argument


def _add(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    a, b = args
    if isinstance(a, float):
        return build("add", b, a)
    if _is(b, 0.0) and _is_rows(a):
        return a
    first, second = build.maker(a), build.maker(b)
    if second is not None and second.op == "neg":
        return build("sub", a, second.args[0])
    if first is not None and first.op == "neg":
        return build("sub", b, first.args[0])
    if isinstance(b, float) and first is not None and first.op == "add" and isinstance(first.args[1], float):
        return build("add", first.args[0], first.args[1] + b)
    return None


def _sub(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    a, b = args
    if isinstance(b, float):
        return build("add", a, -b)
    if _is(a, 0.0):
        return build("neg", b) if _is_rows(b) else None
    second = build.maker(b)
    if second is not None and second.op == "neg":
        return build("add", a, second.args[0])
    return None


def _neg(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    maker = build.maker(args[0])
    if maker is None:
        return None
    if maker.op == "neg":
        return maker.args[0]
    if maker.op == "sub":
        return build("sub", maker.args[1], maker.args[0])
    if maker.op == "mul" and isinstance(maker.args[1], float):
        return build("mul", maker.args[0], -maker.args[1])
    return None


def _mul(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    a, b = args
    if isinstance(a, float):
        return build("mul", b, a)
    if _is(b, 1.0) and _is_rows(a):
        return a
    if _is(b, -1.0):
        return build("neg", a)
    if a is b:
        return build("square", a)
    first = build.maker(a)
    if isinstance(b, float) and first is not None:
        if first.op == "mul" and isinstance(first.args[1], float):
            return build("mul", first.args[0], first.args[1] * b)
        if first.op == "neg":
            return build("mul", first.args[0], -b)
    return outer_product(build, a, b)


def _div(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    a, b = args
    if isinstance(b, float) and b != 0:
        return build("mul", a, 1 / b)
    if _is(a, 1.0) and _is_rows(b):
        return build("reciprocal", b)
    return None


def _compare(op: str) -> _Rule:
    def rule(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
        if isinstance(args[0], float):
            return build(MIRRORED.get(op, op), args[1], args[0])
        maker = build.maker(args[0])
        is_truth = maker is not None and maker.op in COMPARISONS
        return args[0] if op == "ne" and is_truth and _is(args[1], 0.0) else None

    return rule


def _where(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    mask, a, b = args
    if isinstance(mask, float):
        chosen = a if mask else b
        return chosen if isinstance(chosen, float) or _is_rows(chosen) else None
    return a if a is b and _is_rows(a) else None


def _slice(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    source = args[0]
    assert isinstance(source, Value)
    start, stop = int(attrs["start"]), int(attrs["stop"])
    if (start, stop) == (0, source.width):
        return source
    maker = build.maker(source)
    if maker is None:
        return None
    if maker.op == "slice":
        first = int(maker.attrs["start"])
        return build("slice", maker.args[0], start=first + start, stop=first + stop)
    if maker.op == "fill":
        return build("fill", width=stop - start, value=maker.attrs["value"])
    if maker.op == "gather":
        order = maker.attrs["order"][start:stop]
        return build("gather", maker.args[0], order=order) if is_stretch(order) else None
    if maker.op == "concat":
        return build.concat(list(_parts(build, maker, start, stop)))
    return None


def _parts(build: Builder, concat: Instruction, start: int, stop: int) -> list[Value]:
    """What a stretch of a concatenation is made of."""
    parts, reached = [], 0
    for part in concat.args:
        assert isinstance(part, Value)
        low, high = max(start, reached), min(stop, reached + part.width)
        if low < high:
            parts.append(build.rows("slice", part, start=low - reached, stop=high - reached))
        reached += part.width
    return parts


def _concat(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    parts: list[Argument] = []
    for part in args:
        maker = build.maker(part)
        parts += maker.args if maker is not None and maker.op == "concat" else [part]
    joined = [parts[0]]
    for part in parts[1:]:
        one = _joined(build, joined[-1], part)
        joined = [*joined[:-1], one] if one is not None else [*joined, part]
    if joined == list(args):
        return None
    return joined[0] if len(joined) == 1 else build("concat", *joined)


def _joined(build: Builder, left: Argument, right: Argument) -> Argument | None:
    """Two neighbouring stretches of one value, or two fills with one number, as one."""
    one, other = build.maker(left), build.maker(right)
    if one is None or other is None or one.op != other.op:
        return None
    if one.op == "slice" and one.args[0] is other.args[0] and one.attrs["stop"] == other.attrs["start"]:
        return build("slice", one.args[0], start=one.attrs["start"], stop=other.attrs["stop"])
    if one.op == "fill" and one.attrs["value"] == other.attrs["value"]:
        return build("fill", width=one.attrs["width"] + other.attrs["width"], value=one.attrs["value"])
    return None


def _groups(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    source = args[0]
    assert isinstance(source, Value)
    return source if attrs["groups"] == source.width else None


def _sum(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    maker = build.maker(args[0])
    if maker is not None and maker.op == "neg":
        return build("neg", build("sum", maker.args[0], **attrs))
    if maker is not None and maker.op == "mul" and isinstance(maker.args[1], float):
        return build("mul", build("sum", maker.args[0], **attrs), maker.args[1])
    product = product_with_vector(build, args[0], attrs["groups"])
    return product if product is not None else _groups(build, args, attrs)


def _expand(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    source = args[0]
    assert isinstance(source, Value)
    if attrs["width"] == source.width:
        return source
    maker = build.maker(source)
    return build("fill", width=attrs["width"], value=maker.attrs["value"]) if maker and maker.op == "fill" else None


def _product(build: Builder, args: list[Argument], attrs: dict[str, Any]) -> Argument | None:
    maker, matrix = build.maker(args[0]), args[1]
    assert isinstance(matrix, Value)
    if maker is not None and maker.op == "fill" and maker.attrs["value"] == 0:
        return build("fill", width=matrix.width, value=0.0)
    return None


def _is(argument: Argument, number: float) -> bool:
    return isinstance(argument, float) and argument == number


def _is_rows(argument: Argument) -> bool:
    return isinstance(argument, Value) and argument.kind == "rows"


_RULES: dict[str, _Rule] = {
    "add": _add,
    "sub": _sub,
    "neg": _neg,
    "mul": _mul,
    "div": _div,
    "where": _where,
    "slice": _slice,
    "concat": _concat,
    "sum": _sum,
    "max": _groups,
    "expand": _expand,
    "gather": simpler_gather,
    "matmul": simpler_matmul,
    "product": _product,
} | {op: _compare(op) for op in COMPARISONS}
