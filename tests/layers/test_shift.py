"""Images moved at random."""

import pytest
import torch

from steploom.errors import OptionError
from steploom.layers.shift import RandomShift


def moved_by_hand(image, down, right, background):
    """`image` (height, width, channels) moved."""
    height, width, _ = image.shape
    found = background.expand_as(image).clone()
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                found[row, column] = image[row - down, column - right]
    return found


@pytest.mark.parametrize("by_pixel", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_moves_by_its_own_distance(by_pixel, channels):
    images = torch.randn(50, 5, 4, channels)
    background = torch.randn(channels if by_pixel else 4 * channels)
    layer = RandomShift((5, 4, channels), 2, background.tolist()).train()
    x = images.reshape(50, 20 if by_pixel else 5, -1).transpose(0, 1)
    torch.manual_seed(0)
    found = layer(x)
    torch.manual_seed(0)
    distances = torch.randint(-2, 3, (2, 50))
    assert {tuple(pair) for pair in distances.t().tolist()} > {(0, 0), (-2, 2)}
    for number in range(50):
        expected = moved_by_hand(images[number], *distances[:, number].tolist(), background.view(-1, channels))
        torch.testing.assert_close(found[:, number].reshape(5, 4, channels), expected)
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(RandomShift((5, 4), 0).train()(x), x)


def test_a_distance_beyond_the_image():
    with pytest.raises(OptionError, match="most: expected a number below the size of the images, 5 x 4, found 4"):
        RandomShift((5, 4), 4)
