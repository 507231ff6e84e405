"""Random changes of pictures and joints, so that the policy looks at the scene instead of remembering poses."""

import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT = 2  # [px] of a 96 px picture, each way; more hides where things are from a policy that must grasp them
GAIN = 0.2  # deviation of contrast, brightness and colour


def augment(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Shift and recolour each sample's pictures, the same for all its ticks.

    Args:
        pictures: (batch, ticks, cameras, 3, height, width), float in [0, 1].
        generator: Source of chance, on the processor whatever the pictures' device.

    Returns:
        The same shape. Shifts repeat the border.
    """
    batch, _, cameras = pictures.shape[:3]
    size = pictures.shape[-1]
    contrast = 1 + GAIN * torch.randn(batch, 1, 1, 1, 1, 1, generator=generator).to(pictures.device)
    colour = 0.25 * GAIN * torch.randn(batch, 1, cameras, 3, 1, 1, generator=generator).to(pictures.device)
    brightness = 0.5 * GAIN * torch.randn(batch, 1, cameras, 1, 1, 1, generator=generator).to(pictures.device)
    changed = (pictures - 0.45) * contrast + 0.45 + colour + brightness
    offsets = torch.randint(0, 2 * SHIFT + 1, (batch, cameras, 2), generator=generator).tolist()
    padded = F.pad(changed.flatten(0, 2), (SHIFT,) * 4, mode="replicate").view(*pictures.shape[:4], size + 2 * SHIFT, size + 2 * SHIFT)
    for sample in range(batch):
        for camera in range(cameras):
            y, x = offsets[sample][camera]
            changed[sample, :, camera] = padded[sample, :, camera, :, y : y + size, x : x + size]
    return changed


def disturb_state(state: Tensor, noise: float, dropout: float, generator: torch.Generator) -> Tensor:
    """Add noise to normalised joints and fingers (batch, ticks, 9), and hide them whole in some samples."""
    noisy = state + noise * torch.randn(state.shape, generator=generator).to(state.device)
    keep = (torch.rand(len(state), 1, 1, generator=generator) >= dropout).to(state.device, state.dtype)
    return noisy * keep


def short_memory(batch: int, window: int, chance: float, generator: torch.Generator) -> Tensor:
    """Draw how many ticks each sample may look back: all of them, or with `chance` a random smaller number."""
    short = torch.randint(0, window, (batch,), generator=generator)
    forget = torch.rand(batch, generator=generator) < chance
    return torch.where(forget, short, torch.full_like(short, window))
