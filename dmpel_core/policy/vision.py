"""Image tower of the published policy: CLIP's vision transformer, one for all cameras (Dosovitskiy et al. 2021; Radford et al. 2021).

The blocks before the first adapted one are the frozen half and run once per picture. The others run without experts for
the router query and with them for the action.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmpel_core.errors import DmpelError
from dmpel_core.policy.image import ImageTower
from dmpel_core.policy.sizes import CROP, MEAN, STD, PolicySizes, VisionSizes
from dmpel_core.policy.transformer import Block


def prepare(pictures: Tensor, pixels: int) -> Tensor:
    """Resize, crop and normalise as CLIP's evaluation does: of a 224-pixel tower, the shorter side becomes 248.

    Args:
        pictures: (n, 3, height, width), in [0, 1].
        pixels: Side of the result.

    Returns:
        (n, 3, pixels, pixels), the middle of the pictures; the outer 5 % are lost, whatever their size.
    """
    height, width = pictures.shape[-2:]
    short = int(pixels / CROP)
    tall, wide = (short, short * width // height) if height <= width else (short * height // width, short)
    if (tall, wide) != (height, width):
        pictures = F.interpolate(pictures, size=(tall, wide), mode="bicubic", antialias=True)
    top, left = round((tall - pixels) / 2), round((wide - pixels) / 2)
    middle = pictures[..., top : top + pixels, left : left + pixels]
    mean, std = (middle.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    return (middle - mean) / std


class VisionTower(ImageTower):
    """Patches, a class token and learned positions, then pre-norm blocks."""

    def __init__(self, sizes: PolicySizes, vision: VisionSizes) -> None:
        super().__init__()
        width, first = sizes.image_width, vision.adapted[0]
        if width != sizes.width:
            raise DmpelError(f"a vision transformer's tokens are fused as they are: image_width {width} must be width {sizes.width}")
        self.pixels = vision.pixels
        self.patches = nn.Conv2d(3, width, vision.patch, vision.patch, bias=False)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, 1 + (vision.pixels // vision.patch) ** 2, width) * 0.02)
        self.norm_pre = nn.LayerNorm(width)
        adapt = [sizes.adapt if index in vision.adapted else "none" for index in range(vision.depth)]
        blocks = [Block(width, vision.heads, vision.hidden, activation=vision.activation, adapt=choice) for choice in adapt]
        self.frozen, self.blocks = nn.ModuleList(blocks[:first]), nn.ModuleList(blocks[first:])
        self.norm = nn.LayerNorm(width)
        if vision.unused:
            self.unused = nn.Linear(width, vision.unused).requires_grad_(False)  # what averages gradients would wait for its

    def trunk(self, pictures: Tensor) -> Tensor:
        """Run the frozen half on pictures of any size, (n, cameras, 3, height, width) in [0, 1]."""
        x = self.patches(prepare(pictures.flatten(0, 1), self.pixels)).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1) + self.position  # (n * cameras, 1 + patches, width)
        x = self.norm_pre(x)
        for block in self.frozen:
            x = block(x)
        return x.unflatten(0, pictures.shape[:2])
