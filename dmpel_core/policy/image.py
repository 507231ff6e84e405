"""Image tower of the small preset: a convolutional trunk (frozen half) and transformer blocks (adapted half).

The trunk of a tower runs once per picture; its tokens feed both the frozen pass for the router query and the adapted pass for
the action. Spatial softmax gives the class token where each channel looks, in image coordinates: with few demonstrations a
small network learns positions from it that a plain class token does not find.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmpel_core.policy.adapted import AdaptedLinear, Mixture
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.policy.transformer import Block

STEM = 32  # channels of the first convolution, which cuts the picture into patches
LEVELS = ((48, 1), (96, 2))  # channels and stride of those between it and the last, which has the tower's width and stride 2
STRIDE = 16  # of the whole trunk: 96 px become a 6 x 6 grid
SHARPNESS = 2.0  # softer, every channel looks at the centre and no gradient tells it where to look


def spatial_softmax(maps: Tensor, sharpness: Tensor) -> Tensor:
    """Return the expected image coordinates of each channel.

    Args:
        maps: (n, channels, height, width).
        sharpness: Scalar, logarithm of the softmax's inverse temperature.

    Returns:
        (n, 2 * channels), x and y in [-1, 1].
    """
    n, _, height, width = maps.shape
    weights = (maps.flatten(2) * sharpness.exp()).softmax(-1)  # (n, channels, height * width)
    y = torch.linspace(-1, 1, height, device=maps.device).repeat_interleave(width)
    x = torch.linspace(-1, 1, width, device=maps.device).repeat(height)
    return (weights @ torch.stack([x, y], 1)).reshape(n, -1)


class Level(nn.Module):
    """One convolution of the trunk, normalised in groups of channels."""

    def __init__(self, given: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, channels, 3, stride, 1)
        self.norm = nn.GroupNorm(8, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, given, height, width) to (n, channels, height / stride, width / stride)."""
        return F.relu(self.norm(self.conv(maps)))


def levels(width: int) -> list[tuple[int, int]]:
    """Return channels and stride of each level of a trunk whose tokens have this width."""
    return [*LEVELS, (width, 2)]


class ConvolutionalTrunk(nn.Module):
    """One camera's frozen half: picture to class token and grid tokens.

    The class token knows where every channel of every level looks: a finger's breadth is less than a pixel of the coarsest.
    """

    def __init__(self, sizes: PolicySizes) -> None:
        super().__init__()
        width = sizes.image_width
        shapes = levels(width)
        given = [STEM, *(channels for channels, _ in shapes)]
        self.stem = nn.Conv2d(3, STEM, 6, 4, 1)
        self.levels = nn.ModuleList([Level(before, *shape) for before, shape in zip(given, shapes, strict=False)])
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))
        self.readout = nn.Linear(2 * sum(given[1:]) + 2 * width, width)
        self.norm = nn.LayerNorm(width)
        self.position = nn.Parameter(torch.randn(1, 1 + (sizes.pixels // STRIDE) ** 2, width) * 0.02)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (n, 3, pixels, pixels), normalised, to (n, 1 + grid, image_width)."""
        maps = F.relu(self.stem(pictures.contiguous(memory_format=torch.channels_last)))
        points = []
        for level in self.levels:
            maps = level(maps)
            points.append(spatial_softmax(maps, self.sharpness))
        token = self.readout(torch.cat([*points, maps.mean((2, 3)), maps.amax((2, 3))], 1))
        return self.norm(torch.cat([token[:, None], maps.flatten(2).transpose(1, 2)], 1)) + self.position


class ImageTower(nn.Module):
    """A frozen half, which a subclass brings, then blocks shared by the cameras; the class token is the picture's feature."""

    blocks: nn.ModuleList
    norm: nn.LayerNorm

    def trunk(self, pictures: Tensor) -> Tensor:
        """Run the frozen half.

        Args:
            pictures: (n, cameras, 3, height, width), in [0, 1].

        Returns:
            Tokens (n, cameras, tokens, image_width), the class token first.
        """
        raise NotImplementedError

    def encode(self, tokens: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Run the second half on (n, cameras, tokens, image_width); return class tokens (n, cameras, image_width)."""
        x = tokens.flatten(0, 1)
        for block in self.blocks[:-1]:
            x = block(x, mixture)
        x = self.blocks[-1](x, mixture, first_only=True)[:, 0]
        return self.norm(x).view(*tokens.shape[:2], -1)

    def project(self, classes: Tensor, mixture: Mixture | None = None) -> Tensor:  # noqa: ARG002 - towers that are wide enough have none
        """Map class tokens (..., image_width) to the width of the fused tokens."""
        return classes


class ConvolutionalTower(ImageTower):
    """One convolutional trunk per camera."""

    def __init__(self, sizes: PolicySizes) -> None:
        super().__init__()
        self.trunks = nn.ModuleList([ConvolutionalTrunk(sizes) for _ in sizes.cameras])
        hidden = sizes.mlp_ratio * sizes.image_width
        self.blocks = nn.ModuleList([Block(sizes.image_width, sizes.heads, hidden, adapt=sizes.adapt) for _ in range(sizes.image_blocks)])
        self.norm = nn.LayerNorm(sizes.image_width)
        self.projection = AdaptedLinear(sizes.image_width, sizes.width)

    def trunk(self, pictures: Tensor) -> Tensor:
        """Run each camera's trunk on pictures of `pixels` x `pixels`."""
        normalised = (pictures - 0.45) / 0.25
        return torch.stack([trunk(normalised[:, camera]) for camera, trunk in enumerate(self.trunks)], 1)

    def project(self, classes: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Map class tokens (..., image_width) to the width of the fused tokens."""
        return self.projection(classes, mixture)


def to_pixels(pictures: Tensor, pixels: int) -> Tensor:
    """Shrink uint8 pictures (..., 3, H, W) by area averaging to float (..., 3, pixels, pixels) in [0, 1]."""
    flat = pictures.reshape(-1, *pictures.shape[-3:]).float() / 255
    if flat.shape[-1] != pixels:
        flat = F.interpolate(flat, size=(pixels, pixels), mode="area")
    return flat.view(*pictures.shape[:-2], pixels, pixels)
