"""Pretrain the backbone on demonstrations of many tasks and write a library without experts.

Every weight is trained but those of the small preset's text encoder; the preset clip-vit-b16 starts from CLIP. Pictures are
shifted and recoloured; joints get noise and are hidden in some samples, so that the policy has to look. Still pictures, which are
cheap, show it thousands of arrangements beside the hundreds of the demonstrations. The run resumes exactly after a kill.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dmpel_core.data.stills import read_stills
from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import create_library
from dmpel_core.official.clip import TRANSFORMERS_NAME, load_clip
from dmpel_core.policy.head import ActionMixture
from dmpel_core.policy.policy import Frames, Policy
from dmpel_core.policy.presets import PRESETS, preset, read_sizes
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.training.augmentation import augment, disturb_state, short_memory
from dmpel_core.training.compiled import compiled
from dmpel_core.training.datasets import demonstration_files, digest, load_all
from dmpel_core.training.episodes import Sequences
from dmpel_core.training.foresight import foresight
from dmpel_core.training.interface import OBSERVATION, library_modules
from dmpel_core.training.losses import imitation_loss, waypoint_loss
from dmpel_core.training.optimise import optimise
from dmpel_core.training.options import add_setting_arguments, add_stills_arguments, settings_of, stills_of
from dmpel_core.training.pictures import PictureSet, StillSet
from dmpel_core.training.run import Run
from dmpel_core.training.schedule import chance_for, shape_for
from dmpel_core.training.settings import PretrainSettings
from dmpel_core.training.workers import on_device, on_processor

CHECKPOINT_EVERY = 250


class BackboneLosses(nn.Module):
    """A policy whose `forward` draws one process's batch of a step and returns its losses, as `optimise` wants it."""

    def __init__(
        self, policy: Policy, data: PictureSet, settings: PretrainSettings, accelerator: Accelerator, stills: StillSet | None = None
    ) -> None:
        super().__init__()
        self.policy = policy
        self._data, self._stills, self._settings, self._process = data, stills, settings, accelerator.process_index
        with torch.no_grad():
            self.texts = self._embed(data.sentences).to(accelerator.device)
            self._still_texts = self.texts if stills is None else self._embed(stills.sentences).to(accelerator.device)
        policy.to(accelerator.device)
        self._answer = compiled(self._act) if settings.compiled else self._act

    def forward(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the mean negative log-likelihood of a batch of sequences and the error of the foreseen waypoints [dm]."""
        settings, sizes = self._settings, self.policy.sizes
        rng, chance = chance_for(settings.seed, step, self._process)
        shape = shape_for(step, settings.batch, sizes.window, settings.windows)
        batch = self._data.timeline.batch(rng, self._data.training, shape, sizes.chunk, settings.padding).to(self.texts.device)
        likelihood, way = self._loss_on(batch, chance)
        if self._stills is not None:
            way = way + self._glance(self._stills, torch.from_numpy(rng.integers(len(self._stills), size=settings.stills)), chance)
        return likelihood, way

    def _glance(self, stills: StillSet, index: Tensor, chance: torch.Generator) -> Tensor:
        """Return the error of the waypoints foreseen from still pictures (n,), each a sequence of one tick."""
        device, settings = self.texts.device, self._settings
        pictures = augment(stills.pictures[index][:, None].to(device).float() / 255, chance)
        joints, gripper = stills.joints[index, None].to(device), stills.gripper[index, None].to(device)
        state = self.policy.proprioception.normalise(joints, gripper)
        state = disturb_state(state, settings.state_noise, settings.state_dropout, chance)
        texts = self._sentences(stills.sentences, self._still_texts, stills.sentence[index])
        _, ways = self._answer(pictures, joints, gripper, texts, state, None)
        return waypoint_loss(ways, stills.waypoints[index, None].to(device)).mean()

    def _loss_on(self, batch: Sequences, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        policy, data, settings, device = self.policy, self._data, self._settings, self.texts.device
        rows, window = batch.index.shape
        pictures = augment(data.pictures[batch.index].to(device).float() / 255, chance)
        joints, gripper = data.joints[batch.index].to(device), data.gripper[batch.index].to(device)
        state = policy.proprioception.normalise(joints, gripper)
        state = disturb_state(state, settings.state_noise, settings.state_dropout, chance)
        horizon = short_memory(rows, window, settings.forget, chance).to(device)
        texts = self._sentences(data.sentences, self.texts, data.sentence[batch.index[:, 0]])
        mixture, ways = self._answer(pictures, joints, gripper, texts, state, horizon)
        return imitation_loss(mixture, ways, batch, data.waypoints[batch.index].to(device))

    def _act(
        self, pictures: Tensor, joints: Tensor, gripper: Tensor, texts: Tensor, state: Tensor, horizon: Tensor | None
    ) -> tuple[ActionMixture, Tensor | None]:
        """Act on pictures (batch, ticks, cameras, 3, height, width) with the sentences' embeddings (batch, text_width)."""
        tokens = self.policy.image.trunk(pictures.flatten(0, 1)).unflatten(0, pictures.shape[:2])
        fused = self.policy.tokens(Frames(tokens, joints, gripper), texts, state=state)
        return self.policy.act_and_foresee(fused, horizon=horizon)

    def _sentences(self, sentences: Sequence[str], embedded: Tensor, wanted: Tensor) -> Tensor:
        """Return the embeddings (rows, text_width) of sentences by number (rows,); a text tower that is trained too computes them anew."""
        if not self.policy.text.stored:
            return embedded[wanted]
        numbers, place = wanted.unique(return_inverse=True)
        return self._embed([sentences[number] for number in numbers.tolist()])[place]

    def _embed(self, sentences: Sequence[str]) -> Tensor:
        text = self.policy.text
        return torch.cat([text.encode(text.trunk(sentence)) for sentence in sentences])


def pretrain(
    data: PictureSet,
    settings: PretrainSettings,
    sizes: PolicySizes,
    run: Run,
    data_digest: str,
    checkpoint_every: int = CHECKPOINT_EVERY,
    accelerator: Accelerator | None = None,
    clip: str | Path | None = None,
    stills: StillSet | None = None,
) -> Policy:
    """Train a policy, going on from the run's checkpoint when there is one.

    Args:
        data: The demonstrations.
        settings: Steps, rates and noise.
        sizes: Of the policy.
        run: Where checkpoint and log go.
        data_digest: Names the data; a checkpoint of other data is refused.
        checkpoint_every: Steps between checkpoints.
        accelerator: Device and processes; None for the processor.
        clip: Where CLIP's weights are, for a policy with its towers.
        stills: Still pictures, if there are some.
    """
    accelerator = accelerator or on_processor()
    torch.manual_seed(settings.seed)
    policy = Policy(sizes)
    if clip is not None:
        load_clip(policy, clip)
    if sizes.vision is None:  # the published policy takes joints and fingers as they are
        mean, std = data.statistics()
        policy.proprioception.mean.copy_(mean)
        policy.proprioception.std.copy_(std)
    losses = BackboneLosses(policy.train(), data, settings, accelerator, stills)
    parameters = {name: value for name, value in policy.named_parameters() if value.requires_grad}
    identity = {"sizes": sizes.to_json(), "data": data_digest, **({} if clip is None else {"clip": str(clip)})}
    checkpoint = run.folder / "checkpoint.safetensors"
    measure = (lambda: foresight(policy, data, losses.texts)) if settings.held_out and sizes.waypoint else None
    optimise(losses, parameters, settings, run, checkpoint, identity, checkpoint_every, accelerator, measure)
    return policy.eval().cpu()


def refuse_existing(output: Path) -> None:
    """Raise a `DmpelError` when there is a library already, before hours are spent."""
    if (output / "manifest.json").exists():
        raise DmpelError(f"{output} already holds a library; choose another --output, or remove it to pretrain anew")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders with LIBERO-layout HDF5 files, or such files")
    parser.add_argument("--output", type=Path, required=True, help="library folder to write")
    parser.add_argument("--run", type=Path, default=Path("runs/pretrain"), help="folder of checkpoint, TensorBoard log and summary")
    parser.add_argument("--held-out", type=int, default=1, help="demonstrations of each task that only measure whether the policy looks")
    parser.add_argument("--preset", choices=PRESETS, default="small", help="size of the policy")
    parser.add_argument("--sizes", type=Path, help='JSON of sizes and switches that differ from the preset, such as {"top_k": 1}')
    parser.add_argument("--expert-bias", action="store_true", help="give experts biases too, as the first official release did")
    parser.add_argument(
        "--clip-weights", help=f"where clip-vit-b16 starts from: name on the hub of transformers, or folder (default: {TRANSFORMERS_NAME})"
    )
    add_setting_arguments(parser, PretrainSettings(0, 6000, 16))
    add_stills_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Pretrain and write the library."""
    torch.set_num_threads(arguments.threads)
    sizes = read_sizes(arguments.sizes, preset(arguments.preset))
    if arguments.expert_bias:
        sizes = replace(sizes, expert_bias=True)
    clip = None if sizes.vision is None else arguments.clip_weights or TRANSFORMERS_NAME
    files, still_files = demonstration_files(arguments.data), demonstration_files(arguments.stills)
    refuse_existing(arguments.output)
    settings = settings_of(arguments, PretrainSettings, held_out=arguments.held_out, stills=stills_of(arguments))
    accelerator = on_device(settings.precision)
    log = Run(arguments.run, "pretrain", shown=accelerator.is_main_process)
    data = PictureSet(load_all(files), sizes, settings.held_out)
    stills = StillSet(map(read_stills, still_files), sizes) if still_files else None
    policy = pretrain(data, settings, sizes, log, digest(files + still_files), accelerator=accelerator, clip=clip, stills=stills)
    if not accelerator.is_main_process:
        return 0
    library = create_library(
        arguments.output,
        backbone={name: value.numpy() for name, value in policy.backbone_state().items()},
        policy=sizes.to_json(),
        modules=library_modules(policy),
        text_encoder=policy.text.identity(),
        observation=OBSERVATION,
    )
    log.summary(
        {
            **settings.record(),
            "tasks": data.sentences,
            "frames": len(data.timeline),
            "demonstrations": len(data.timeline.lengths),
            "still_pictures": 0 if stills is None else len(stills),
            "library": str(library.path),
            **log.noted,
        }
    )
    print(f"wrote {library.path}: backbone pretrained on {len(data.sentences)} tasks, {len(data.timeline)} frames")
    return 0
