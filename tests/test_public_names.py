"""The flat public names: what `steploom.` offers, where it comes from, and what importing it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import steploom
from steploom.cells.registry import CELLS

SOURCE = Path(steploom.__file__)


def test_the_public_names_are_these() -> None:
    assert set(steploom.__all__) == {
        "AdditiveAttention",
        "CRF",
        "Cell",
        "CellError",
        "ChildSumTreeLSTMCell",
        "CoupledLSTMCell",
        "DataError",
        "Forest",
        "GRU",
        "GRUCell",
        "HardAttention",
        "IndRNNCell",
        "JANETCell",
        "LSTM",
        "LSTMCell",
        "LayerNormGRUCell",
        "LayerNormLSTMCell",
        "LiGRUCell",
        "MGUCell",
        "MinGRUCell",
        "MinLSTMCell",
        "ModelDirectoryError",
        "MogrifierLSTMCell",
        "MultiplicativeAttention",
        "NaryTreeLSTMCell",
        "OptionError",
        "PeepholeLSTMCell",
        "ProjectedLSTMCell",
        "RNN",
        "RNNCell",
        "Recurrent",
        "RecursiveCell",
        "ResetBeforeGRUCell",
        "SLSTMCell",
        "SRUCell",
        "SteploomError",
        "TrainedModel",
        "TreeNetwork",
        "UnsupportedOperation",
        "__version__",
        "cell_names",
        "load",
        "make_cell",
        "resume",
        "train",
        "use_engine",
    }


@pytest.mark.parametrize("name", sorted(steploom.__all__))
def test_each_name_can_be_had_and_says_what_it_is(name: str) -> None:
    assert getattr(steploom, name).__doc__
    assert name in dir(steploom)


def test_every_cell_that_comes_with_steploom_is_there() -> None:
    for entry in CELLS.values():
        module, _, name = entry.path.partition(":")
        assert steploom._HOMES[name] == module


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == steploom._HOMES
    assert list(steploom._HOMES) == sorted(steploom._HOMES)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'LTSM'"):
        _ = steploom.LTSM


def test_importing_steploom_loads_nothing_heavy() -> None:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import steploom"], capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in run.stderr.splitlines()}
    assert "steploom" in loaded
    assert loaded.isdisjoint({"torch", "numpy", "pandas", "pytorch_lightning", "lightning_fabric", "matplotlib"})
