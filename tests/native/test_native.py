"""The compiled core."""

import ast
import platform
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

from steploom import native


def test_the_core_is_of_this_version() -> None:
    assert native.version() == version("steploom")


@pytest.mark.skipif(
    not Path("/proc/cpuinfo").exists() or platform.machine() != "x86_64",
    reason="the kernel's list of instruction sets, to compare with, is there on Linux on x86 only",
)
def test_it_sees_the_instruction_sets_that_the_kernel_sees() -> None:
    flags = set(Path("/proc/cpuinfo").read_text().partition("flags")[2].splitlines()[0].split())
    known = {"sse4_2", "avx", "f16c", "fma", "avx2", "avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni"}
    known |= {"avx512_bf16", "avx512_fp16"}
    assert set(native.instruction_sets()) == flags & known


def test_the_stub_declares_what_the_module_has() -> None:
    stub = Path(native.__file__).with_name("_native.pyi")
    nodes = ast.parse(stub.read_text()).body
    declared = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert declared == {name for name in dir(import_module("steploom._native")) if not name.startswith("_")}


def test_a_missing_core_names_the_build_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "steploom._native", None)
    native.core.cache_clear()
    with pytest.raises(ImportError, match=r"pip install -c constraints.txt -e \."):
        native.version()
