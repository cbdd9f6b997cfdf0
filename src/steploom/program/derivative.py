"""The backward step of a program, derived by the rules of the primitives."""

from __future__ import annotations

from dataclasses import dataclass

from steploom.program.program import Instruction, Program, Value

__all__ = ["Derivative", "VectorGradient", "WeightGradient"]


@dataclass(frozen=True, eq=False)
class WeightGradient:
    """`dM[n, k] += sum over steps and rows of grad[:, n] * left[:, k]`, in the place of `matrix.view`.

    Attributes:
        matrix: the matrix value (width n, rows k).
        left: what it was multiplied with: rows of width k.
        grad: the gradient of the product: rows of width n.
    """

    matrix: Value
    left: Value
    grad: Value


@dataclass(frozen=True, eq=False)
class VectorGradient:
    """`dv += sum over steps and rows of grad`, in the place of `vector.view`."""

    vector: Value
    grad: Value


@dataclass(frozen=True, eq=False)
class Derivative:
    """One backward step.

    Attributes:
        program: the step it belongs to. Its values (inputs, states, results) may be read.
        inputs: gradient of each new state.
        instructions: the backward step; each value is written before it is read.
        dx: gradient of the input; None where it is zero.
        dstates: gradient of each entering state; None where it is zero.
        weight_gradients: gradients of the matrices, one for each product.
        vector_gradients: gradients of the vectors, one for each vector.
    """

    program: Program
    inputs: tuple[Value, ...]
    instructions: tuple[Instruction, ...]
    dx: Value | None
    dstates: tuple[Value | None, ...]
    weight_gradients: tuple[WeightGradient, ...]
    vector_gradients: tuple[VectorGradient, ...]
