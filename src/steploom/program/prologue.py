"""What a step computes from parameters alone: done once a call, by PyTorch, with its own derivative."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from steploom.cells.cell import real_weight
from steploom.program.nested import flat, mapped

if TYPE_CHECKING:
    from steploom.program.program import Leaf, Program

__all__ = ["Call", "Constant", "Prologue", "Reference", "as_leaf", "gather_leaves"]


@dataclass(frozen=True)
class Reference:
    """Among the arguments of a call, the result of an earlier node; `item` where that is a tuple of tensors."""

    node: int
    item: int | None = None

    def __repr__(self) -> str:
        return f"%{self.node}" if self.item is None else f"%{self.node}[{self.item}]"


@dataclass(frozen=True, eq=False)
class Call:
    """A PyTorch operator and its arguments, tensors replaced by references."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    title: str = ""

    def __repr__(self) -> str:
        given = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"{self.title or self.function}({', '.join(given)})"


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that the step makes from numbers, such as `torch.arange(8)`."""

    tensor: Tensor

    def __repr__(self) -> str:
        if self.tensor.numel() == 1:
            return f"{self.tensor.item():g}"
        digest = hashlib.sha256(self.tensor.contiguous().numpy().tobytes()).hexdigest()[:16]
        return f"constant({tuple(self.tensor.shape)}, {digest})"


@dataclass(frozen=True, eq=False)
class Prologue:
    """A list of nodes, each an attribute path, a constant or a call on earlier nodes.

    Attributes:
        nodes: the attribute paths of parameters and buffers, the constants, and the calls, in order.
        outputs: the results.
    """

    nodes: tuple[str | Constant | Call, ...]
    outputs: tuple[Reference, ...]

    def __call__(self, cell: nn.Module, x: Tensor | None = None) -> list[Tensor]:
        """Compute the outputs from the parameters that the cell has now; in the dtype of `x` where it has none."""
        like = real_weight(cell, x)
        results: list[Any] = []

        def find(reference: Reference) -> Any:
            found = results[reference.node]
            return found if reference.item is None else found[reference.item]

        for node in self.nodes:
            if isinstance(node, str):
                # They were contiguous when the calls on them were noted, and some calls rely on it.
                tensor = attrgetter(node)(cell).resolve_conj().contiguous()
                results.append(tensor.to(like.dtype.to_complex()) if tensor.is_complex() else tensor)
            elif isinstance(node, Call):
                args, kwargs = mapped((node.args, node.kwargs), Reference, find)
                results.append(node.function(*args, **kwargs))
            elif node.tensor.is_complex():
                results.append(node.tensor.to(like.device, like.dtype.to_complex()))
            elif node.tensor.is_floating_point():
                results.append(node.tensor.to(like))
            else:
                results.append(node.tensor.to(like.device))
        return [find(output) for output in self.outputs]

    def pruned(self) -> Prologue:
        """The same without the nodes that no output needs."""
        needed = {output.node for output in self.outputs}
        for number in range(len(self.nodes) - 1, -1, -1):
            if number in needed and isinstance(node := self.nodes[number], Call):
                needed |= {item.node for item in flat([node.args, node.kwargs]) if isinstance(item, Reference)}
        new = {old: number for number, old in enumerate(sorted(needed))}

        def renumber(reference: Reference) -> Reference:
            return Reference(new[reference.node], reference.item)

        def renumbered(node: str | Constant | Call) -> str | Constant | Call:
            if not isinstance(node, Call):
                return node
            args, kwargs = mapped((node.args, node.kwargs), Reference, renumber)
            return Call(node.function, args, kwargs, node.title)

        return Prologue(tuple(renumbered(self.nodes[old]) for old in new), tuple(map(renumber, self.outputs)))

    def lines(self, leaves: Sequence[Leaf]) -> list[str]:
        """One line a node, for reading."""
        names = {self.outputs[leaf.output].node: leaf.name for leaf in leaves if leaf.output is not None}
        return [f"{names.get(number, f'%{number}')} = {node}" for number, node in enumerate(self.nodes)]


def gather_leaves(program: Program, cell: nn.Module, x: Tensor | None = None) -> list[Tensor]:
    """The tensors of `program.leaves`, in that order, from a cell that was built like the traced one.

    Attributes are looked up at each call, so tensors put in the place of parameters are seen. What the prologue
    computes is differentiable; nothing is copied where there is no prologue. Where the cell has no parameters, `x`
    tells the dtype.
    """
    computed = program.prologue(cell, x) if program.prologue is not None else []
    tensors = []
    for leaf, modules, name in program.paths:
        if leaf.path is None:
            tensor = computed[leaf.output or 0]
        else:
            owner: nn.Module | None = cell
            for module in modules:
                owner = owner._modules.get(module) if owner is not None else None
            # Quicker than an attribute; buffers, and what stands in the place of a parameter, are attributes alone.
            found = owner._parameters.get(name) if owner is not None else None
            tensor = found if found is not None else attrgetter(leaf.path)(cell)
        tensors.append(as_leaf(tensor, leaf, cell, x))
    return tensors


def as_leaf(tensor: Tensor, leaf: Leaf, cell: nn.Module, x: Tensor | None = None) -> Tensor:
    """A tensor of the cell in the shape of its leaf, whole numbers and flags in the dtype of the weights."""
    if not tensor.is_floating_point():
        tensor = tensor.to(real_weight(cell, x).dtype)
    return tensor if tensor.shape == leaf.shape else tensor.reshape(leaf.shape)
