"""Weights are compared with the network before memory is taken for either."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file
from toy import ToyNetwork

from steploom.errors import ModelDirectoryError
from steploom.training.weights import network_with_weights


def test_the_weights_come_back_and_the_random_state_stays(tmp_path):
    network = ToyNetwork()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    before = torch.get_rng_state()
    again = network_with_weights(ToyNetwork, tmp_path / "w.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("size", [7, 1_000_000, 1_000_000_000, 2**62])
def test_another_size_is_refused_before_it_is_built(tmp_path, size):
    save_file(ToyNetwork(hidden_size=6).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ModelDirectoryError, match=r"not the weights of the model|cannot be built"):
        network_with_weights(lambda: ToyNetwork(hidden_size=size), tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}" + b"too long",
        (lambda h: struct.pack("<Q", len(h)) + h)(
            json.dumps({"w": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4]}}).encode()
        ),
        (lambda h: struct.pack("<Q", len(h)) + h)(b'{"w": {"dtype": "F99", "shape": [], "data_offsets": [0, 0]}}'),
    ],
)
def test_a_header_that_does_not_fit_the_file(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(ModelDirectoryError, match="damaged"):
        network_with_weights(ToyNetwork, tmp_path / "w.safetensors")
