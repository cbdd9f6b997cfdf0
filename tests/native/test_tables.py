"""What the compiled core and the Python that drives it must have in common: instructions and the numbers of enums."""

import re
from enum import IntEnum
from pathlib import Path

import pytest

from steploom.engine import threads
from steploom.engine.places import Kind, Where
from steploom.native import core
from steploom.program.primitives import ALONE, ON_GROUPS, PRIMITIVES, is_elementwise

HEADER = Path(__file__).parents[2] / "native" / "schedule.hpp"

# What lowering writes of its own accord: a value moved, and a value a group of columns shares.
OF_THE_CORE = {"copy", "expand"}

# A detached value stands where the value itself does.
WITHOUT_AN_OPCODE = {"detach"}


def names_of(enum: str) -> list[str]:
    """The names of an enum of the core, in order."""
    found = re.search(rf"enum class {enum} : int {{(.*?)}};", HEADER.read_text(), re.DOTALL)
    assert found is not None
    return re.findall(r"\w+", re.sub(r"//.*", "", found[1]))


def test_every_elementwise_primitive_is_an_instruction_of_the_core() -> None:
    primitives = {name for name in PRIMITIVES if is_elementwise(name)}
    assert set(core().opcodes()) == (primitives - WITHOUT_AN_OPCODE) | OF_THE_CORE
    assert len(core().opcodes()) == len(set(core().opcodes()))


def test_every_primitive_that_runs_alone_is_a_stage_of_the_core() -> None:
    stages = {in_python(name) for name in names_of("StageKind")} - {"product", "elementwise"}
    assert stages == {name.removeprefix("scaled_") for name in ALONE}
    schedule = core().Schedule(False, [], [], [], [], [], 0, 0)
    for name in ON_GROUPS:
        schedule.on_groups("step", name, 2, 1, 0.0, (0, 0, 0, 0), [])
    with pytest.raises(ValueError, match="no stage 'median'"):
        schedule.along("step", "median", 1, 2, 2, 0, 0, (0, 0, 0, 0), [(0, 0, 0, 0)])
    with pytest.raises(ValueError, match="take_along has other inputs"):
        schedule.along("step", "take_along", 1, 2, 2, 0, 0, (0, 0, 0, 0), [(0, 0, 0, 0)])
    with pytest.raises(ValueError, match="no stage 'median'"):
        schedule.on_groups("step", "median", 2, 1, 0.0, (0, 0, 0, 0), [])


def in_python(name: str) -> str:
    """A name of the header as Python writes it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


@pytest.mark.parametrize("enum", [Kind, Where])
def test_an_enum_has_the_numbers_of_the_header(enum: type[IntEnum]) -> None:
    native = [in_python(name).upper() for name in names_of(enum.__name__)]
    assert dict(zip(native, range(len(native)), strict=True)) == {member.name: member.value for member in enum}


def test_python_knows_from_which_sizes_on_the_core_uses_tiles() -> None:
    said = (HEADER.parent / "call.hpp").read_text() + (HEADER.parent / "digit_split.hpp").read_text()

    def of(name: str) -> int:
        found = re.search(rf"\b{name} = (\d+)", said)
        assert found is not None, name
        return int(found[1])

    in_core = of("tile_rows"), of("least_tile_height"), of("least_digit_rows"), of("least_digit_inner")
    assert in_core == (threads.TILE_ROWS, threads.TILED_HEIGHT, threads.TILED_ROWS, threads.TILED_INPUTS)
