"""The policy in plain PyTorch, one tick at a time: the reference that other engines are held against."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, Limits, read_library
from dmpel_core.experts.pool import ExpertPool
from dmpel_core.experts.restore import restore_factors, restore_policy, restore_router
from dmpel_core.experts.router import Router
from dmpel_core.groups import GROUPS
from dmpel_core.inference.engine import Tick
from dmpel_core.inference.ensemble import ChunkEnsemble
from dmpel_core.inference.episode import Episode
from dmpel_core.observation import Observation
from dmpel_core.policy.image import to_pixels
from dmpel_core.policy.policy import Frames, Policy

NUMBERS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Generation:
    """Everything that one generation of a library needs to act. Never changed once built."""

    number: int
    backbone: str
    policy: Policy
    names: tuple[str, ...]
    pool: ExpertPool | None
    router: Router | None


def device_of(provider: str) -> torch.device:
    """Return the device that a provider's name stands for; `auto` is a GPU where there is one.

    Raises:
        DmpelError: There is no such provider here.
    """
    cuda = torch.cuda.is_available()
    if provider not in {"auto", "cpu", "cuda"} or (provider == "cuda" and not cuda):
        raise DmpelError(f"the torch engine cannot compute on {provider!r} here: choose auto, cpu" + (" or cuda" if cuda else ""))
    return torch.device("cuda" if cuda and provider != "cpu" else "cpu")


def build(library: Library, device: torch.device, policy: Policy | None = None) -> Generation:
    """Read every tensor of a generation onto a device; reuse `policy` when its backbone is the same."""
    policy = policy or restore_policy(library).to(device)
    names = tuple(expert.name for expert in library.experts)
    pool = router = None
    if names:
        factors = [{name: value.to(device) for name, value in expert.items()} for expert in restore_factors(library)]
        pool = ExpertPool(policy.modules_adapted, factors)
        router = restore_router(library, policy.sizes, policy.query_width).to(device)
    return Generation(library.generation, library.manifest.backbone.sha256, policy, names, pool, router)


class TorchEngine:
    """Runs one generation; `load` builds the next one aside and `tick` picks it up.

    The action is the mean of the heaviest Gaussian; with `sample_seed`, a draw from the mixture, as the published policy acts.
    `provider` is `auto`, `cpu` or `cuda`; in a `precision` other than fp32 all but the router is computed by autocast.
    """

    def __init__(
        self,
        library: Path,
        generation: int | None = None,
        sample_seed: int | None = None,
        limits: Limits | None = None,
        *,
        provider: str = "cpu",
        precision: str = "fp32",
    ) -> None:
        self._limits, self._device, self._numbers = limits, device_of(provider), NUMBERS[precision]
        self._next = self._current = build(read_library(library, generation, limits), self._device)
        self._instruction = ""
        self._text: tuple[Policy, str, Tensor, Tensor] | None = None
        self._episode = Episode(self._current.policy.sizes)
        self._ensemble = ChunkEnsemble()
        self._chance = None if sample_seed is None else torch.Generator(self._device).manual_seed(sample_seed)

    @property
    def expert_names(self) -> tuple[str, ...]:
        """Names of the experts of the generation in use."""
        return self._current.names

    @property
    def generation(self) -> int:
        """Generation in use."""
        return self._current.number

    def set_instruction(self, instruction: str) -> None:
        """Change the instruction from the next tick on."""
        self._instruction = instruction

    def reset(self) -> None:
        """Forget the observation window and the planned actions."""
        self._episode.reset()
        self._ensemble.reset()

    def load(self, library: Path, generation: int | None = None) -> None:
        """Build a generation aside and hand it to the next tick; on an error the running one goes on."""
        read = read_library(library, generation, self._limits)
        current = self._next
        same = read.manifest.backbone.sha256 == current.backbone
        self._next = build(read, self._device, current.policy if same else None)

    def catch_up(self) -> None:
        """Do nothing: a tick leaves nothing for later."""

    @torch.inference_mode()
    def tick(self, observation: Observation) -> Tick:
        """Compute one action from one observation."""
        current = self._current = self._next
        with torch.autocast(self._device.type, self._numbers, enabled=self._numbers != torch.float32):
            words, text = self._sentence(current.policy)
            frames = frames_of(current.policy, observation)
            answer, coefficients = self._episode.tick(current.policy, current.pool, current.router, frames, words, text)
            chunk = answer.mode()[0] if self._chance is None else answer.sample(self._chance)[0]  # (chunk, 7)
        used = np.zeros((len(GROUPS), 0), np.float32) if coefficients is None else coefficients[0].cpu().numpy()
        return Tick(self._ensemble.next(chunk.float().cpu().numpy()), used, current.number)

    def _sentence(self, policy: Policy) -> tuple[Tensor, Tensor]:
        """Return the instruction after the frozen half and its frozen embedding, computed when it changes."""
        instruction = self._instruction
        if self._text is None or self._text[0] is not policy or self._text[1] != instruction:
            tokens = policy.text.trunk(instruction)
            self._text = (policy, instruction, tokens, policy.text.encode(tokens))
        return self._text[2], self._text[3]


def frames_of(policy: Policy, observation: Observation) -> Frames:
    """Return one observation as a batch of one tick after the frozen half of the image tower."""
    pictures = np.stack([getattr(observation, camera) for camera in policy.sizes.cameras])  # (cameras, height, width, 3)
    device = policy.proprioception.mean.device
    shrunk = to_pixels(torch.from_numpy(pictures).permute(0, 3, 1, 2)[None].to(device), policy.sizes.pixels)
    felt = (observation.joints, observation.gripper)
    joints, gripper = (torch.as_tensor(np.asarray(x), dtype=torch.float32, device=device)[None, None] for x in felt)
    return Frames(policy.image.trunk(shrunk)[None], joints, gripper)
