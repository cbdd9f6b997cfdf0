"""Images moved at random while training, so that a network learns where things stand is no matter."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from steploom.errors import OptionError

__all__ = ["RandomShift"]


class RandomShift(nn.Module):
    """Each image of a batch moved by its own random number of pixels, in training alone; what comes in is background.

    Args:
        shape: height, width and, of more than one channel, channels.
        most: the largest distance in each of the two directions.
        background: what comes in, one number or one a number of a step.

    Raises:
        OptionError: the images are not larger than the distance.
    """

    background: Tensor

    def __init__(self, shape: Sequence[int], most: int, background: Sequence[float] = (0.0,)) -> None:
        super().__init__()
        if not 0 <= most < min(shape[:2]):
            raise OptionError(
                f"most: expected a number below the size of the images, {shape[0]} x {shape[1]}, found {most}"
            )
        self.shape, self.most = tuple(shape), most
        self.register_buffer("background", torch.tensor(background), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The moved images; `x` (time, batch, size) goes row by row or pixel by pixel."""
        if not self.training or self.most == 0:
            return x
        height, width = self.shape[:2]
        time, batch, size = x.shape
        by_row = time == height
        # (height, width, batch, channels), whichever way the images are read.
        image = x.view(height, batch, width, -1).transpose(1, 2) if by_row else x.view(height, width, batch, -1)
        down, right = torch.randint(-self.most, self.most + 1, (2, batch), device=x.device)
        rows = torch.arange(height, device=x.device)[:, None] - down
        columns = torch.arange(width, device=x.device)[:, None] - right
        moved = image[
            rows.clamp(0, height - 1)[:, None], columns.clamp(0, width - 1)[None], torch.arange(batch, device=x.device)
        ]
        inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None]
        inside = inside[..., None].expand_as(moved)
        if by_row:
            moved, inside = moved.transpose(1, 2), inside.transpose(1, 2)
        return torch.where(inside.reshape(time, batch, size), moved.reshape(time, batch, size), self.background)

    def extra_repr(self) -> str:
        """The constructor's arguments, for `print`."""
        return f"{self.shape}, most={self.most}"
