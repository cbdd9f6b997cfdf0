"""Sums of products: which columns of which products are added up, and in which order.

What arithmetic reads is taken apart into terms: columns of products, of vectors, and of anything else. Then sums of
the same products that lie side by side are made one sum, of which each reader takes a slice:

- a product with a concatenation becomes a sum of products;
- columns that nobody reads are not computed;
- `r + r_h` and `z + z_h` of a GRU, slices of two products, become one sum of two narrower products;
- terms that depend on `x` alone, and vectors, are added first, so that their sum runs before the loop.
"""

from __future__ import annotations

from dataclasses import replace

from steploom.program.builder import Builder
from steploom.program.naming import name_values
from steploom.program.passes.cuts import Cuts
from steploom.program.passes.terms import Sum, Term, Terms
from steploom.program.program import Instruction, Program, Value

__all__ = ["sum_products"]

# Sums with one family are alike but for where they begin: what is added, from which column on, and with which sign.
Family = tuple[tuple[Value, Value | None, int, int], ...]


def sum_products(program: Program) -> Program:
    """The program with its sums of products in canonical form."""
    whole: set[Value] = set()
    cuts = Cuts(program.leaves)
    while True:
        terms = Terms(program, cuts, whole)
        roots = _roots(program, terms)
        shared = _shared(program, terms, roots)
        if not shared - whole:
            return _Rewriting(program, terms, roots).result()
        whole |= shared


def _roots(program: Program, terms: Terms) -> list[Value]:
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


def _shared(program: Program, terms: Terms, roots: list[Value]) -> set[Value]:
    """The products of which columns would be computed twice: they are kept by themselves."""
    used: dict[tuple[Value, Value], list[tuple[int, int, int]]] = {}
    families: dict[Family, int] = {}
    for root in roots:
        known = terms.known(root)
        family = families.setdefault(_family(known)[0], len(families))
        for term in known:
            if term.left is not None:
                used.setdefault((term.base, term.left), []).append((term.start, term.stop, family))
    twice = {key for key, uses in used.items() if _two_families_meet(uses)}
    found = set()
    for instruction in program.instructions:
        if instruction.op == "product":
            parts = terms.of(instruction.out, top=True)
            if any((term.base, term.left) in twice for term in parts):
                found.add(instruction.out)
    return found


def _two_families_meet(uses: list[tuple[int, int, int]]) -> bool:
    """Whether stretches of columns of two families, (start, stop, family) each, have a column in common."""
    reached, farthest = 0, -1
    for start, stop, family in sorted(uses):
        if start < reached and family != farthest:
            return True
        if stop > reached:
            reached, farthest = stop, family
    return False


class _Rewriting:
    """Writes the program again with merged sums."""

    def __init__(self, program: Program, terms: Terms, roots: list[Value]) -> None:
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
            known = self.terms.known(root)
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
        known = self.terms.known(value)
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
            wide = [t.cut(start - first, stop - first) for t in known]
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
            return self.terms.cuts.vector(term.base, term.start, term.stop)
        matrix = self.terms.cuts.matrix(term.base, (term.start, term.stop), (0, term.base.rows))
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
