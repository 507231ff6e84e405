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

STEM = (32, 48)  # channels before the last convolution, which has the tower's width
SHARPNESS = 2.0  # softer, every channel looks at the centre and no gradient tells it where to look
STRIDE = 8  # of the whole trunk: 64 px become an 8 x 8 grid


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


class ConvolutionalTrunk(nn.Module):
    """One camera's frozen half: picture to class token and grid tokens."""

    def __init__(self, sizes: PolicySizes) -> None:
        super().__init__()
        first, second = STEM
        self.conv1 = nn.Conv2d(3, first, 6, 4, 1)
        self.conv2 = nn.Conv2d(first, second, 3, 1, 1)
        self.norm2 = nn.GroupNorm(8, second)
        self.conv3 = nn.Conv2d(second, sizes.image_width, 3, 2, 1)
        self.norm3 = nn.GroupNorm(8, sizes.image_width)
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))
        self.readout = nn.Linear(2 * second + 4 * sizes.image_width, sizes.image_width)
        grid = (sizes.pixels // STRIDE) ** 2
        self.norm = nn.LayerNorm(sizes.image_width)
        self.position = nn.Parameter(torch.randn(1, 1 + grid, sizes.image_width) * 0.02)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (n, 3, pixels, pixels), normalised, to (n, 1 + grid, image_width)."""
        x = F.relu(self.conv1(pictures.contiguous(memory_format=torch.channels_last)))
        fine = F.relu(self.norm2(self.conv2(x)))
        coarse = F.relu(self.norm3(self.conv3(fine)))
        points = [spatial_softmax(fine, self.sharpness), spatial_softmax(coarse, self.sharpness)]
        pooled = [coarse.mean((2, 3)), coarse.amax((2, 3))]
        token = self.readout(torch.cat(points + pooled, 1))
        return self.norm(torch.cat([token[:, None], coarse.flatten(2).transpose(1, 2)], 1)) + self.position


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
