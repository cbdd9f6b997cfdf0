"""Sums taken apart into their terms."""

from __future__ import annotations

from typing import NamedTuple

from steploom.program.passes.cuts import Cuts
from steploom.program.program import Argument, Instruction, Program, Value

__all__ = ["Sum", "Term", "Terms"]

SUMS = {"add", "sub", "neg", "slice"}
# A sum of more is kept as it is, whatever it is added to: each sum has a list of its terms, and one that is added to
# itself over and over would have twice as many each time.
MOST_TERMS = 400


class Term(NamedTuple):
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
        return self._replace(start=self.start + start, stop=self.start + stop)

    @property
    def negative(self) -> Term:
        """The same with the other sign."""
        return Term(self.base, self.left, self.start, self.stop, -self.sign)

    @property
    def is_known(self) -> bool:
        """Whether it belongs to the sum that is merged with its neighbours: a product or a vector."""
        return self.base.kind != "rows"


Sum = tuple[Term, ...]


class Terms:
    """The terms of every value that is a sum with a product in it.

    Attributes:
        cuts: makes parts of matrices.
        makers: the instruction that writes each value.
        whole: what is a term only of itself, products and sums of very many terms: any other sum takes it as it is.
    """

    def __init__(self, program: Program, cuts: Cuts, whole: set[Value]) -> None:
        self.cuts = cuts
        self.makers = {instruction.out: instruction for instruction in program.instructions}
        self.whole = set(whole)
        self._known: dict[Value, Sum] = {}
        for instruction in program.instructions:
            if instruction.op == "product":
                self._known[instruction.out] = self._split(instruction)
            elif self._is_sum(instruction):
                self._known[instruction.out] = terms = self._split(instruction)
                if len(terms) > MOST_TERMS:
                    self.whole.add(instruction.out)

    def _is_sum(self, maker: Instruction) -> bool:
        args = [argument for argument in maker.args if isinstance(argument, Value)]
        return maker.op in SUMS and len(args) == len(maker.args) and any(map(self.has_product, args))

    def has_product(self, value: Argument) -> bool:
        """Whether a product is among the terms."""
        return isinstance(value, Value) and value in self._known and value not in self.whole

    def of(self, value: Value, top: bool = False) -> Sum:
        """The terms of a value. `top`: even if it is kept whole elsewhere."""
        if value in self._known and (top or value not in self.whole):
            return self._known[value]
        base, start = self.cuts.widened(value) if value.kind == "vector" else (value, 0)
        return (Term(base, None, start, start + value.width, 1),)

    def known(self, value: Value) -> Sum:
        """The products and vectors among the terms of a value, even if it is kept whole elsewhere."""
        return tuple([term for term in self.of(value, top=True) if term.is_known])

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
            base, start = self.cuts.widened(matrix)
            return (Term(base, left, start, start + matrix.width, 1),)
        terms: Sum = ()
        reached = 0
        for part in maker.args:
            assert isinstance(part, Value)
            columns = self.cuts.matrix(matrix, (0, matrix.width), (reached, reached + part.width))
            terms += self._product(part, columns)
            reached += part.width
        return terms


def _negative(terms: Sum) -> Sum:
    return tuple([term.negative for term in terms])
