"""DMPEL: one low-rank expert for each task, mixed by a router that coefficient replay keeps.

The method of the paper (arXiv 2506.05985): experts and their mixture in `dmpel_core.experts.pool`, the router, and replay, here
put together as `dmpel learn` does, of which this is the same training. Repaired of the official code: earlier experts are in no
optimiser and do not decay, and the learning-rate schedule, which it configures but never makes, is on.
"""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from dmpel_core.experts.keeping import keep_experts
from dmpel_core.experts.library import Library, NewExpert, add_experts, create_library
from dmpel_core.experts.replay import ReplayMemory
from dmpel_core.experts.router import Router
from dmpel_core.experts.usage import narrowed, renumbered, share_of, under_used
from dmpel_core.lifelong.algorithms.base import Algorithm, Optimise, Teachable, copied, numbered, with_numbers
from dmpel_core.lifelong.choosers import Routed
from dmpel_core.lifelong.student import Slot, Student
from dmpel_core.lifelong.tasks import TaskData
from dmpel_core.training.expert import ExpertLosses, remember
from dmpel_core.training.recall import recall
from dmpel_core.training.skill_routing import started_router
from dmpel_core.training.start import start_for


class Dmpel(Algorithm):
    """Experts, replay memories and the router of now.

    Attributes:
        places: For each expert the place in the sequence of the task that it was made for.
    """

    name = "dmpel"
    looks = False
    named = True

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)  # type: ignore[arg-type]
        self.experts: list[dict[str, Tensor]] = []
        self.memories: list[ReplayMemory] = []
        self.places: list[int] = []
        self.router: Router | None = None

    def lesson(self, task: int, tasks: Sequence[TaskData]) -> Teachable:
        """See `Algorithm`."""
        data, known = tasks[task], [tasks[place].instruction for place in self.places]
        assert data.features is not None
        settings = self.settings
        named = started_router(self.policy, data.features, data.files, data.limit, data.instruction, known, self.memories, settings)
        start = start_for(self.policy, self.experts, self.router, data.features, settings.start, settings.seed, named)
        stills = data.stills.features if data.stills is not None and settings.stills else None
        return ExpertLosses(self.policy, self.experts, start, data.features, settings, self.accelerator, stills)

    def absorb(self, lesson: Teachable, task: int, tasks: Sequence[TaskData], optimise: Optimise) -> None:  # noqa: ARG002
        """Keep the expert, store its coefficients, and train the router on those of all tasks."""
        taught, features = cast(ExpertLosses, lesson), tasks[task].features
        assert features is not None
        self.policy.cpu()
        self.experts.append(copied(taught.factors))
        self.places.append(task)
        router = taught.router.requires_grad_(False).eval().cpu()
        queries, answers = remember(self.policy, router, features, self.options.replay_ratio, self.settings.seed)
        self.memories.append(ReplayMemory.of(queries, self.policy.text.width, answers, self.policy.sizes.top_k))
        if len(self.memories) > 1:
            dense = self.settings.replay_loss == "dense"
            router, _ = recall(router, self.memories, self.options.replay_epochs, self.settings.seed, dense=dense)
        self.router = router

    def taught(self, lesson: Teachable, task: int) -> Student:  # noqa: ARG002
        """See `Algorithm`."""
        taught = cast(ExpertLosses, lesson)
        router = self._empty_router(len(self.experts) + 1)
        router.load_state_dict(copied(taught.router.state_dict()))
        return self._student([*self.experts, copied(taught.factors)], router)

    def student(self, task: int) -> Student:  # noqa: ARG002
        """See `Algorithm`."""
        assert self.router is not None
        return self._student(self.experts, self.router)

    def slot_tasks(self) -> list[int]:
        """See `Algorithm`."""
        return list(self.places)

    def under_used(self) -> list[int]:
        """See `Algorithm`. As `dmpel prune --below` does, but the newest stays: no other task could have used it yet."""
        shares = np.array([share_of(memory.tensors(), len(self.experts)) for memory in self.memories])
        return sorted(under_used(shares, self.options.prune_below) - {len(self.experts) - 1})

    def drop(self, slots: Sequence[int]) -> None:
        """See `Algorithm`. Their replay memories go with them, as in `dmpel prune`."""
        count, kept = len(self.experts), self._without(slots)
        router = narrowed(self._routing(), kept, count)
        self.experts, self.places = [self.experts[slot] for slot in kept], [self.places[slot] for slot in kept]
        self.memories = [ReplayMemory(**renumbered(self.memories[slot].tensors(), kept, count)) for slot in kept]
        self.router = self._empty_router(len(kept))
        self.router.load_state_dict({name: torch.from_numpy(value) for name, value in router.items()})

    def tensors(self) -> dict[str, Tensor]:
        """See `Algorithm`."""
        assert self.router is not None
        memories = [{name: torch.from_numpy(value) for name, value in memory.tensors().items()} for memory in self.memories]
        router = {f"router.{name}": value for name, value in self.router.state_dict().items()}
        places = {"places": torch.tensor(self.places)}
        return {**with_numbers(self.experts, "expert"), **with_numbers(memories, "replay"), **router, **places}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Algorithm`."""
        self.experts = numbered(tensors, "expert")
        self.places = tensors["places"].tolist()
        self.memories = [ReplayMemory(**{name: value.numpy() for name, value in part.items()}) for part in numbered(tensors, "replay")]
        self.router = self._empty_router(len(self.experts))
        self.router.load_state_dict({name.removeprefix("router."): value for name, value in tensors.items() if name.startswith("router.")})

    def finish(self, folder: Path, library: Library, tasks: Sequence[TaskData], states: Iterable[Mapping[str, Tensor]]) -> None:
        """Leave a library, `library` below the run's folder: a generation for each task, and one more where experts were taken out."""
        place, aside = folder / "library", folder / "library.partial"
        if place.exists():
            return
        shutil.rmtree(aside, ignore_errors=True)
        grown = copy_of(library, aside)
        for state in states:
            self.restore(state)
            grown = add_experts(grown, [self._newest(tasks)], self._routing())
            slots = self.under_used()
            if slots:
                kept = self._without(slots)
                self.drop(slots)
                grown = keep_experts(grown, kept, self._routing(), [memory.tensors() for memory in self.memories])
        os.replace(aside, place)

    def _newest(self, tasks: Sequence[TaskData]) -> NewExpert:
        """Return the newest expert as a library keeps it."""
        data, settings = tasks[self.places[-1]], self.settings_for(self.places[-1], tasks)
        replayed = {"replay_ratio": self.options.replay_ratio, "replay_epochs": self.options.replay_epochs}
        provenance = {
            "dataset": data.digest,
            "demonstrations": len(data.timeline.lengths),
            "seed": self.settings.seed,
            **({} if data.stills is None else {"stills": data.stills.digest}),
            "settings": {**settings.record(), **replayed},
            "metrics": {},
        }
        factors, instruction = {name: value.numpy() for name, value in self.experts[-1].items()}, data.instruction
        return NewExpert(instruction, (instruction,), instruction.split()[0], factors, self.memories[-1].tensors(), provenance)

    def _without(self, slots: Sequence[int]) -> list[int]:
        return [slot for slot in range(len(self.experts)) if slot not in slots]

    def _routing(self) -> dict[str, np.ndarray]:
        assert self.router is not None
        return {name: value.numpy() for name, value in self.router.state_dict().items()}

    def _student(self, experts: Sequence[Mapping[str, Tensor]], router: Router) -> Student:
        return Student(self.policy, [Slot(factors=factors) for factors in experts], Routed(router))

    def _empty_router(self, experts: int) -> Router:
        sizes = self.policy.sizes
        router = Router(self.policy.query_width, sizes.router_hidden, experts, sizes.top_k, shared=sizes.router_shared)
        return router.requires_grad_(False).eval()


def copy_of(library: Library, place: Path) -> Library:
    """Write a library with the same backbone and no experts."""
    return create_library(
        place,
        backbone=library.backbone(),
        policy=dict(library.policy),
        modules=list(library.modules),
        text_encoder=dict(library.text_encoder),
        observation=dict(library.observation),
    )
