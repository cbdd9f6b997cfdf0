"""The compiled core."""

import inspect
import platform
import re
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from steploom import native


def test_the_core_is_of_this_version() -> None:
    assert native.version() == version("steploom")


@pytest.mark.skipif(
    not Path("/proc/cpuinfo").exists() or platform.machine() != "x86_64",
    reason="the list of instruction sets to compare with is there on Linux on x86 only",
)
def test_it_has_the_kernels_whose_instruction_sets_the_kernel_of_linux_sees() -> None:
    flags = set(Path("/proc/cpuinfo").read_text().partition("flags")[2].splitlines()[0].split())
    needed = {
        "amx": {"amx_tile", "amx_int8", "avx512f", "avx512dq", "avx512bw", "avx512vl", "fma"},
        "avx512": {"avx512f", "avx512dq", "avx512bw", "avx512vl", "fma"},
        "avx2": {"avx2", "fma"},
        "portable": set(),
    }
    expected = [name for name, sets in needed.items() if sets <= flags]
    kernels = native.core().kernels()
    if "amx" not in kernels and "amx" in expected:
        expected.remove("amx")  # the system need not let a process have tiles
    assert kernels == expected


@pytest.mark.parametrize("declared", [native.Core, native.CoreSchedule, native.CoreStream, native.CoreUnchanged])
def test_what_is_declared_of_the_core_is_what_it_has(declared: type) -> None:
    module = import_module("steploom._native")
    bound = module if declared is native.Core else getattr(module, declared.__name__.removeprefix("Core"))
    names = [name for name in vars(declared) if not name.startswith("_")]
    assert set(names) == {name for name in dir(bound) if not name.startswith("_")}
    for name in names:
        expected = len(inspect.signature(getattr(declared, name)).parameters) - 1
        assert arguments_of(getattr(bound, name)) == expected, name


def arguments_of(bound: Any) -> int:
    """How many arguments something of the core takes, beside an object it belongs to."""
    if isinstance(bound, type):
        bound = vars(bound)["__init__"]
    ((signature, *_),) = bound.__nb_signature__
    return len(re.findall(r"\b\w+: ", signature))


def test_a_missing_core_names_the_build_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "steploom._native", None)
    native.core.cache_clear()
    with pytest.raises(ImportError, match=r"pip install -c constraints.txt -e \."):
        native.version()
