"""Sums of products: which columns of which products are added up, and in which order.

What arithmetic reads is taken apart into terms: columns of products, of vectors, and of anything else. Then sums of
the same products that lie side by side are made one sum, of which each reader takes a slice:

- a product with a concatenation becomes a sum of products;
- columns that nobody reads are not computed;
- `r + r_h` and `z + z_h` of a GRU, slices of two products, become one sum of two narrower products;
- terms that depend on `x` alone, and vectors, are added first, so that their sum runs before the loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from steploom.program.builder import Builder
from steploom.program.leaves import view_name
from steploom.program.naming import name_values
from steploom.program.program import Argument, Instruction, MatrixView, Program, Value, VectorView

__all__ = ["sum_products"]

LINEAR = {"add", "sub", "neg", "slice", "product"}


@dataclass(frozen=True)
class Term:
    """Columns `start` to `stop` of something, to be added or subtracted.

    Attributes:
        base: the matrix of a product, a vector, or any other value.
        left: of a product, what the matrix is multiplied with.
        start, stop: the columns.
        sign: 1 or -1.
    """

    base: Value
    left: Value | None
    start: int
    stop: int
    sign: int

    def cut(self, start: int, stop: int) -> Term:
        """Columns of this term, counted from its own first."""
        return replace(self, start=self.start + start, stop=self.start + stop)

    @property
    def is_known(self) -> bool:
        """Whether it belongs to the sum that is merged with its neighbours: a product or a vector."""
        return self.base.kind != "rows"


Sum = tuple[Term, ...]
Family = tuple[tuple[Value, Value | None, int, int], ...]


class _Terms:
    """The terms of every value that is a sum with a product in it."""

    def __init__(self, program: Program, whole: set[Value]) -> None:
        self.program = program
        self.makers = {instruction.out: instruction for instruction in program.instructions}
        self.whole = whole
        self._has: dict[Value, bool] = {}
        self._known: dict[Value, Sum] = {}

    def has_product(self, value: Argument) -> bool:
        """Whether a product is among the terms."""
        if not isinstance(value, Value) or value not in self.makers or value in self.whole:
            return False
        if value not in self._has:
            maker = self.makers[value]
            is_sum = maker.op in LINEAR and all(isinstance(argument, Value) for argument in maker.args)
            self._has[value] = maker.op == "product" or (is_sum and any(self.has_product(a) for a in maker.args))
        return self._has[value]

    def of(self, value: Value, top: bool = False) -> Sum:
        """The terms of a value. `top`: even if it is kept whole elsewhere."""
        if not (top and value in self.whole) and (value.kind != "rows" or not self.has_product(value)):
            return (Term(value, None, 0, value.width, 1),)
        if value not in self._known or top:
            self._known[value] = self._split(self.makers[value])
        return self._known[value]

    def _split(self, maker: Instruction) -> Sum:
        if maker.op == "product":
            left, matrix = maker.args
            assert isinstance(left, Value) and isinstance(matrix, Value)
            return self._product(left, matrix)
        first = maker.args[0]
        assert isinstance(first, Value)
        if maker.op == "slice":
            start, stop = int(maker.attrs["start"]), int(maker.attrs["stop"])
            return tuple(term.cut(start, stop) for term in self.of(first))
        if maker.op == "neg":
            return _negative(self.of(first))
        second = maker.args[1]
        assert isinstance(second, Value)
        return self.of(first) + (_negative(self.of(second)) if maker.op == "sub" else self.of(second))

    def _product(self, left: Value, matrix: Value) -> Sum:
        maker = self.makers.get(left)
        if maker is None or maker.op != "concat":
            return (Term(matrix, left, 0, matrix.width, 1),)
        terms: Sum = ()
        reached = 0
        for part in maker.args:
            assert isinstance(part, Value)
            columns = cut_matrix(matrix, 0, matrix.width, reached, reached + part.width, self.program)
            terms += self._product(part, columns)
            reached += part.width
        return terms


def _negative(terms: Sum) -> Sum:
    return tuple(replace(term, sign=-term.sign) for term in terms)


def sum_products(program: Program) -> Program:
    """The program with its sums of products in canonical form."""
    whole: set[Value] = set()
    while True:
        terms = _Terms(program, whole)
        roots = _roots(program, terms)
        shared = _shared(program, terms, roots)
        if not shared - whole:
            return _Rewriting(program, terms, roots).result()
        whole |= shared


def _roots(program: Program, terms: _Terms) -> list[Value]:
    """The sums that something other than a sum reads."""
    roots: dict[Value, None] = {}
    for instruction in program.instructions:
        if instruction.op != "product" and terms.has_product(instruction.out):
            continue
        for argument in instruction.args:
            if isinstance(argument, Value) and terms.has_product(argument):
                roots[argument] = None
    for value in (*program.outputs, *terms.whole):
        if terms.has_product(value) or value in terms.whole:
            roots[value] = None
    return list(roots)


def _family(known: Sum) -> tuple[Family, int]:
    """What sums that can be merged have in common, and where this one begins."""
    ordered = sorted(known, key=lambda term: (term.base.name, term.left.name if term.left else "", term.start))
    first = ordered[0].start
    return tuple((term.base, term.left, term.start - first, term.sign) for term in ordered), first


def _shared(program: Program, terms: _Terms, roots: list[Value]) -> set[Value]:
    """The products of which columns would be computed twice: they are kept by themselves."""
    used: dict[tuple[Value, Value | None], list[tuple[int, int, Family]]] = {}
    for root in roots:
        known = tuple(term for term in terms.of(root, top=True) if term.is_known)
        family, _ = _family(known)
        for term in known:
            if term.left is not None:
                used.setdefault((term.base, term.left), []).append((term.start, term.stop, family))
    twice = {
        key
        for key, uses in used.items()
        for start, stop, family in uses
        for other_start, other_stop, other in uses
        if family != other and start < other_stop and other_start < stop
    }
    found = set()
    for instruction in program.instructions:
        if instruction.op == "product":
            parts = terms.of(instruction.out, top=True)
            if any((term.base, term.left) in twice for term in parts):
                found.add(instruction.out)
    return found


class _Rewriting:
    """Writes the program again with merged sums."""

    def __init__(self, program: Program, terms: _Terms, roots: list[Value]) -> None:
        self.program, self.terms, self.roots = program, terms, set(roots)
        self.build = Builder()
        self.new: dict[Value, Value] = {}
        self.names: dict[Value, str] = {}
        self.sums: dict[tuple[Family, int, int], Value] = {}
        self.early = _early(program)
        self.stretches = self._stretches(roots)

    def _stretches(self, roots: list[Value]) -> dict[Family, list[tuple[int, int]]]:
        """For each family, the stretches of columns that are computed in one sum."""
        members: dict[Family, list[tuple[int, int]]] = {}
        for root in roots:
            known = self._known(root)
            if known:
                family, start = _family(known)
                members.setdefault(family, []).append((start, start + root.width))
        merged = {}
        for family, stretches in members.items():
            joined: list[tuple[int, int]] = []
            for start, stop in sorted(set(stretches)):
                if joined and start <= joined[-1][1]:
                    joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
                else:
                    joined.append((start, stop))
            merged[family] = joined
        return merged

    def _known(self, root: Value) -> Sum:
        return tuple(term for term in self.terms.of(root, top=True) if term.is_known)

    def result(self) -> Program:
        for instruction in self.program.instructions:
            if instruction.out in self.roots:
                self.build.source = instruction.source
                self._resolve(instruction.out)
            elif not self._is_inside(instruction):
                self._copy(instruction)
        outputs = tuple(self.new.get(output, output) for output in self.program.outputs)
        self.names |= {new: old.name for new, old in zip(outputs, self.program.outputs, strict=True)}
        written = replace(self.program, instructions=tuple(self.build.instructions), outputs=outputs)
        return name_values(written, self.names)

    def _is_inside(self, instruction: Instruction) -> bool:
        """Whether it is a part of sums that are written where they are read."""
        return self.terms.has_product(instruction.out) or instruction.out in self.terms.whole

    def _copy(self, instruction: Instruction) -> None:
        self.build.source = instruction.source
        args = [self._resolve(a) if isinstance(a, Value) else a for a in instruction.args]
        result = self.build.rows(instruction.op, *args, **instruction.attrs)
        self.new[instruction.out] = result
        self.names.setdefault(result, instruction.out.name)

    def _resolve(self, value: Value) -> Value:
        if value in self.new or value.kind != "rows" or value not in self.terms.makers:
            return self.new.get(value, value)
        if value not in self.roots:
            # A concatenation whose product was taken apart may be read by nobody; what it joins may be read later.
            self._copy(self.terms.makers[value])
            return self.new[value]
        known = self._known(value)
        family, start = _family(known)
        stretch = next(s for s in self.stretches[family] if s[0] <= start < s[1])
        total = self._sum(family, *stretch, known)
        result = self.build.rows("slice", total, start=start - stretch[0], stop=start - stretch[0] + value.width)
        for term in self.terms.of(value, top=True):
            if not term.is_known:
                other = self.build.rows("slice", self._resolve(term.base), start=term.start, stop=term.stop)
                result = self.build.rows("add" if term.sign > 0 else "sub", result, other)
        self.new[value] = result
        self.names.setdefault(result, value.name)
        return result

    def _sum(self, family: Family, start: int, stop: int, known: Sum) -> Value:
        key = (family, start, stop)
        if key not in self.sums:
            _, first = _family(known)
            wide = [replace(t, start=t.start - first + start, stop=t.start - first + stop) for t in known]
            # Plain terms first: a sum can only start with what is added, and must not with a vector.
            wide.sort(key=lambda t: (self._is_late(t), t.left is None, t.sign < 0))
            early = [term for term in wide if not self._is_late(term) and term.left is not None]
            vectors = [term for term in wide if term.left is None]
            late = [term for term in wide if self._is_late(term)]
            ordered = [*early, *vectors, *late] if early else [*late[:1], *vectors, *late[1:]]
            total: Value | None = None
            for term in ordered:
                piece = self._piece(term)
                if total is None:
                    total = piece if term.sign > 0 else self.build.rows("neg", piece)
                else:
                    total = self.build.rows("add" if term.sign > 0 else "sub", total, piece)
            assert total is not None
            self.sums[key] = total
        return self.sums[key]

    def _is_late(self, term: Term) -> bool:
        return term.left is not None and term.left not in self.early

    def _piece(self, term: Term) -> Value:
        if term.left is None:
            return cut_vector(term.base, term.start, term.stop, self.program)
        matrix = cut_matrix(term.base, term.start, term.stop, 0, term.base.rows, self.program)
        return self.build.rows("product", self._resolve(term.left), matrix)


def _early(program: Program) -> set[Value]:
    """The values that depend on the input alone, and not on a state."""
    late = set(program.states)
    early = {program.x}
    for instruction in program.instructions:
        if not late.isdisjoint(a for a in instruction.args if isinstance(a, Value)):
            late.add(instruction.out)
        else:
            early.add(instruction.out)
    return early


def cut_matrix(matrix: Value, start: int, stop: int, first: int, last: int, program: Program) -> Value:
    """The matrix of the features `start` to `stop` of a product, for the features `first` to `last` of what enters."""
    if (start, stop, first, last) == (0, matrix.width, 0, matrix.rows):
        return matrix
    view = matrix.view
    assert isinstance(view, MatrixView)
    if view.transposed:
        start, stop, first, last = first, last, start, stop
    part = MatrixView(
        view.leaf, view.row0 + start, view.row0 + stop, view.col0 + first, view.col0 + last, view.transposed
    )
    if view.transposed:
        start, stop, first, last = first, last, start, stop
    return Value(view_name(part, program.leaves), stop - start, "matrix", last - first, part)


def cut_vector(vector: Value, start: int, stop: int, program: Program) -> Value:
    """A stretch of a vector."""
    if (start, stop) == (0, vector.width):
        return vector
    view = vector.view
    assert isinstance(view, VectorView)
    part = VectorView(view.leaf, view.start + start, view.start + stop)
    return Value(view_name(part, program.leaves), stop - start, "vector", view=part)
