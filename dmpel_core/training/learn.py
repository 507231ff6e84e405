"""Learn one task: add an expert to a library, then replay the coefficients of all tasks.

The frozen half of the image tower runs once per frame and view and is cached on disk. Old experts are in no optimiser
and their files are never written again. The run resumes exactly after a kill, at whatever moment.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, add_expert, read_library
from dmpel_core.experts.replay import ReplayMemory
from dmpel_core.experts.restore import restore_factors, restore_policy, restore_router
from dmpel_core.paths import cache_directory
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.training.datasets import demonstration_files, digest, load_stills, load_task
from dmpel_core.training.expert import learn_expert, remember
from dmpel_core.training.features import feature_set, stills_key
from dmpel_core.training.options import EPOCHS, add_setting_arguments, add_stills_arguments, settings_of, stills_of
from dmpel_core.training.recall import recall
from dmpel_core.training.run import Run
from dmpel_core.training.settings import LearnSettings
from dmpel_core.training.skill_routing import CHOICES, started_router
from dmpel_core.training.start import STARTS, start_for
from dmpel_core.training.workers import on_device, on_processor


def learn(
    library: Library,
    data: Sequence[Path],
    settings: LearnSettings,
    run: Run,
    replay_ratio: float,
    replay_epochs: int,
    limit: int | None = None,
    *,
    without_replay: bool = False,
    accelerator: Accelerator | None = None,
    stills: Sequence[Path] = (),
) -> Library:
    """Learn the task that some demonstrations show and return the new generation.

    Args:
        library: The generation to build on.
        data: LIBERO-layout HDF5 files of the task.
        settings: Of the training.
        run: Where checkpoint, log and summary go.
        replay_ratio: Share of the sequences kept for coefficient replay.
        replay_epochs: Passes over the replay memories.
        limit: Use only the first demonstrations of each file.
        without_replay: Go on although earlier experts have no replay memory.
        accelerator: Device and processes; None for the processor.
        stills: Files of still pictures of the task.

    Raises:
        DmpelError: The library already has an expert for this instruction from other data or settings, or one without replay memory.
    """
    accelerator = accelerator or on_processor()
    pairs = load_task(data, limit)
    instruction, data_digest = pairs[0][0], digest(data)
    settings = settings.sized(sum(len(demo) for _, demo in pairs), PolicySizes.from_json(library.policy).window, accelerator.num_processes)
    provenance = {
        "dataset": data_digest,
        "demonstrations": len(pairs),
        "seed": settings.seed,
        **({"stills": digest(stills)} if stills else {}),
        "settings": {**settings.record(), "replay_ratio": replay_ratio, "replay_epochs": replay_epochs},
    }
    for expert in library.experts:
        if instruction in expert.instructions:
            if all(expert.provenance.get(key) == value for key, value in provenance.items()):
                print(f"{library.path} already holds this expert for {instruction!r}; nothing to do")
                return library
            raise DmpelError(
                f"{library.path} already has an expert for {instruction!r}, learned from other data or settings; "
                "go back with `dmpel show --select GENERATION` or learn into another library"
            )
    memories = stored_memories(library, without_replay=without_replay)
    policy, frozen = restore_policy(library), restore_factors(library)
    key = f"{library.manifest.backbone.sha256} {data_digest} {len(pairs)}"
    demonstrations, cache = [demo for _, demo in pairs], cache_directory() / "features"
    features = feature_set(policy, instruction, demonstrations, settings.views, settings.seed, cache, key, accelerator)
    glances = None
    if stills:
        key = stills_key(library.manifest.backbone.sha256, digest(stills))
        glances = feature_set(policy, instruction, load_stills(stills, instruction), settings.views, settings.seed, cache, key, accelerator)
    del pairs, demonstrations  # and with them all pictures
    identity = {
        "backbone": library.manifest.backbone.sha256,
        "generation": str(library.generation),
        "data": data_digest,
        "demonstrations": str(provenance["demonstrations"]),
        **({"stills": str(provenance["stills"])} if stills else {}),
    }
    known = [expert.instructions[0] for expert in library.experts]
    now = restore_router(library, policy.sizes, policy.query_width) if known else None
    named = started_router(policy, features, data, limit, instruction, known, memories, settings)
    start = start_for(policy, frozen, now, features, settings.start, settings.seed, named)
    factors, router = learn_expert(policy, frozen, start, features, settings, run, identity, accelerator, glances)
    queries, answers = remember(policy, router, features, replay_ratio, settings.seed)
    memory = ReplayMemory.of(queries, policy.text.width, answers, policy.sizes.top_k)
    loss = 0.0
    if memories:
        router, loss = recall(router, [*memories, memory], replay_epochs, settings.seed, dense=settings.replay_loss == "dense")
    if not accelerator.is_main_process:
        accelerator.wait_for_everyone()
        return read_library(library.path)
    grown = add_expert(
        library,
        name=instruction,
        instructions=(instruction,),
        skill=instruction.split()[0],
        factors={name: value.numpy() for name, value in factors.items()},
        router={name: value.numpy() for name, value in router.state_dict().items()},
        replay=memory.tensors(),
        provenance={**provenance, "metrics": {"replay_loss": loss}},
    )
    accelerator.wait_for_everyone()
    return grown


def stored_memories(library: Library, *, without_replay: bool = False) -> list[ReplayMemory]:
    """Return the replay memory of every task of the library that has one.

    Raises:
        DmpelError: One is empty, as an imported expert's, unless that is accepted.
    """
    memories = {expert.name: ReplayMemory(**library.replay(index)) for index, expert in enumerate(library.experts)}
    empty = [name for name, memory in memories.items() if len(memory.features) == 0]
    if empty and not without_replay:
        raise DmpelError(
            f"{library.path}: {', '.join(map(repr, empty))} came without replay memory, so nothing would keep the new router choosing "
            "them for their tasks; --without-replay accepts that"
        )
    return [memory for memory in memories.values() if len(memory.features)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    own = LearnSettings(0, 1200, 16)
    parser.add_argument("library", type=Path, help="library folder; its newest selected generation is extended")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="LIBERO-layout HDF5 files of the task")
    parser.add_argument("--run", type=Path, help="folder of checkpoint, TensorBoard log and summary (default: runs/learn/TASK)")
    add_setting_arguments(parser, own)
    parser.add_argument("--epochs", type=float, default=own.epochs, help=EPOCHS)
    add_stills_arguments(parser)
    parser.add_argument("--demonstrations", type=int, help="use only the first N demonstrations of each file")
    parser.add_argument("--views", type=int, default=own.views, help="cached views of each picture: itself and N - 1 random changes")
    parser.add_argument("--query", choices=("chunk", "causal"), default=own.query,
                        help="route a sequence once by its mean (paper), or each tick by the mean so far, as when it plays")  # fmt: skip
    parser.add_argument("--replay-ratio", type=float, default=0.2, help="share of the sequences kept for coefficient replay (paper: 1.0)")
    parser.add_argument("--replay-epochs", type=int, default=10, help="passes over the replay memories (paper: 10)")
    parser.add_argument("--start", choices=STARTS, default=own.start,
                        help="a new expert changes nothing yet (paper), or starts as what the library would mix for its task")  # fmt: skip
    parser.add_argument("--coefficient-dropout", type=float, default=own.coefficient_dropout,
                        help="chance to drop a coefficient in a module while an expert is trained (official code: 0.15)")  # fmt: skip
    parser.add_argument("--replay-loss", choices=("dense", "sparse"), default=own.replay_loss,
                        help="compare the coefficients of all experts, or the router's top-k with the stored one (paper)")  # fmt: skip
    parser.add_argument("--skills", choices=CHOICES, default=own.skills,
                        help="labels that pretrain the router: the expert's own, the annotator's, or shuffled as a control")  # fmt: skip
    parser.add_argument("--without-replay", action="store_true", help="learn although imported experts have no replay memory")


def run(arguments: argparse.Namespace) -> int:
    """Learn the task and print the new generation."""
    torch.set_num_threads(arguments.threads)
    library = read_library(arguments.library)
    own = {name: getattr(arguments, name) for name in ("views", "query", "replay_loss", "skills", "epochs", "start", "coefficient_dropout")}
    settings = settings_of(arguments, LearnSettings, stills=stills_of(arguments), **own)
    accelerator = on_device(settings.precision)
    log = Run(arguments.run or Path("runs/learn") / arguments.data[0].stem, "learn", shown=accelerator.is_main_process)
    grown = learn(
        library, arguments.data, settings, log, arguments.replay_ratio, arguments.replay_epochs, arguments.demonstrations,
        without_replay=arguments.without_replay, accelerator=accelerator, stills=demonstration_files(arguments.stills),
    )  # fmt: skip
    log.summary(
        {
            **settings.record(),
            "library": str(grown.path),
            "generation": grown.generation,
            "experts": [expert.name for expert in grown.experts],
        }
    )
    if log.shown:
        print(f"{grown.path}: generation {grown.generation}, experts: {', '.join(expert.name for expert in grown.experts)}")
    return 0
