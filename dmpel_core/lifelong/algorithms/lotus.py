"""LOTUS: skills discovered without labels, and a meta-controller that calls them (Wan et al. 2023, "LOTUS: continual imitation learning").

Demonstrations are cut into segments by merging neighbours that look alike; a new task's segments are clustered, and each cluster
joins the old skill that it resembles or opens a new one. Each skill acts with low-rank factors of its own, and a classifier learns
which skill acts when. Some demonstrations of each earlier task stay and are replayed. What differs: features are the backbone's
pictures and not DINOv2's, skills are experts on the common policy and not networks of their own, they are told the instruction and
no subgoal, and the meta-controller names a skill and no subgoal. Still pictures are in no segment, so it learns from
demonstrations alone. Repaired of the official code: its schedule is never made, and gradients are clipped before they are
unscaled. Weights do not decay, see L2M.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dmpel_core.experts.router import Router
from dmpel_core.groups import GROUPS
from dmpel_core.lifelong.adapters import AdapterLesson, apart, chosen_for_each, new_factors, stacked
from dmpel_core.lifelong.algorithms.base import Algorithm, Optimise, Teachable, copied, numbered, with_numbers
from dmpel_core.lifelong.batch import Batch, Source
from dmpel_core.lifelong.choosers import Classified
from dmpel_core.lifelong.clusters import k_means, segments, squared_distances
from dmpel_core.lifelong.student import Slot, Student
from dmpel_core.lifelong.tasks import TaskData, frame_bytes
from dmpel_core.policy.adapted import Mixture
from dmpel_core.training.settings import LearnSettings

ALIKE = 0.5
"""Least cosine similarity of a cluster and a skill that are one."""
META = "meta."


class Lotus(Algorithm):
    """Skills, what they look like, and which frames of each task show which.

    Attributes:
        skills: Low-rank factors of each.
        looks_like: (skills, width), mean standardised features.
        scale: (2, width), mean and deviation of the first task's features.
        labels: Skill of each frame of each task.
        meta: The meta-controller's weights.
    """

    name = "lotus"
    looks = False

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)  # type: ignore[arg-type]
        self.skills: list[dict[str, Tensor]] = []
        self.looks_like, self.scale = torch.zeros(0), torch.zeros(0)
        self.labels: list[Tensor] = []
        self.meta: dict[str, Tensor] = {}

    def own_settings(self, settings: LearnSettings) -> LearnSettings:
        """See `Algorithm`."""
        return replace(settings, weight_decay=0.0)

    def lesson(self, task: int, tasks: Sequence[TaskData]) -> Teachable:
        """See `Algorithm`."""
        chance = self.seeded(task)
        self.labels = [*self.labels[:task], self.discover(tasks[task])]
        while len(self.skills) < len(self.looks_like):
            self.skills.append(new_factors(self.policy, chance, GROUPS))
        self._router = self._new_router()
        trained = stacked(self.skills) | {META + name: value for name, value in self._router.named_parameters()}
        old = [Source(replace(data, stills=None), first_demonstrations(data, self.options.old_demonstrations)) for data in tasks[:task]]
        new = replace(tasks[task], stills=None)  # still pictures belong to no segment and so to no skill
        return AdapterLesson(self.policy, trained, self.mix, [*old, Source(new, new.frames)], self.settings)

    def discover(self, data: TaskData) -> Tensor:
        """Return the skill of each frame of a new task, and add the skills that it opens to `looks_like`."""
        features = self._pictures(data)
        ends = data.timeline.lengths.cumsum()
        cuts = [(end - length + first, end - length + last) for end, length in zip(ends, data.timeline.lengths, strict=True)
                for first, last in segments(features[end - length : end], self.options.segment)]  # fmt: skip
        means = np.stack([features[first:last].mean(0) for first, last in cuts])
        centres = k_means(means, round(len(cuts) / len(ends)), self.settings.seed)
        skill = np.array([self._skill_like(centre) for centre in centres])
        nearest = squared_distances(means, centres).argmin(1)
        labels = torch.zeros(len(features), dtype=torch.long)
        for (first, last), cluster in zip(cuts, nearest, strict=True):
            labels[first:last] = int(skill[cluster])
        return labels

    def mix(self, trained: Mapping[str, Tensor], batch: Batch) -> tuple[Mixture, Tensor]:
        """Give each sequence the factors of its first frame's skill, and return the meta-controller's cross-entropy."""
        assert batch.features is not None
        first = batch.sequences.index[:, 0]
        skill = torch.stack([self.labels[task][frame] for task, frame in zip(batch.task.tolist(), first.tolist(), strict=True)])
        skill = skill.to(batch.joints.device)
        weights = {name.removeprefix(META + "net."): value for name, value in trained.items() if name.startswith(META)}
        logits = torch.func.functional_call(self._router.net, weights, self.policy.sequence_query(batch.features))
        factors = {name: value for name, value in trained.items() if not name.startswith(META)}
        return chosen_for_each(factors, skill), F.cross_entropy(logits, skill)

    def absorb(self, lesson: Teachable, task: int, tasks: Sequence[TaskData], optimise: Optimise) -> None:  # noqa: ARG002
        """See `Algorithm`."""
        self.skills, self.meta = self._learned(lesson)

    def taught(self, lesson: Teachable, task: int) -> Student:  # noqa: ARG002
        """See `Algorithm`."""
        return self._student(*self._learned(lesson))

    def student(self, task: int) -> Student:  # noqa: ARG002
        """See `Algorithm`."""
        return self._student(self.skills, self.meta)

    def tensors(self) -> dict[str, Tensor]:
        """See `Algorithm`."""
        labels = {f"labels.{number}": value for number, value in enumerate(self.labels)}
        own = {"looks_like": self.looks_like, "scale": self.scale}
        return {**with_numbers(self.skills, "skill"), **{META + name: value for name, value in self.meta.items()}, **labels, **own}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Algorithm`."""
        self.skills = numbered(tensors, "skill")
        self.meta = {name.removeprefix(META): value for name, value in tensors.items() if name.startswith(META)}
        self.labels = [tensors[f"labels.{number}"] for number in range(sum(name.startswith("labels.") for name in tensors))]
        self.looks_like, self.scale = tensors["looks_like"], tensors["scale"]

    def stored_bytes(self, tasks: Sequence[TaskData]) -> int:
        """Return the skills and the demonstrations that stay."""
        kept = sum(
            len(first_demonstrations(data, self.options.old_demonstrations)) * frame_bytes(data, self.policy.sizes) for data in tasks
        )
        return super().stored_bytes(tasks) + kept

    def _pictures(self, data: TaskData) -> np.ndarray:
        """Return what the backbone sees in each plain frame, (frames, width), standardised."""
        assert data.features is not None
        text, sizes = self.policy.text.width, self.policy.sizes
        seen = np.array(data.features.queries[0, :, text : text + len(sizes.cameras) * sizes.image_width])
        if not len(self.scale):
            self.scale = torch.from_numpy(np.stack([seen.mean(0), seen.std(0) + 1e-6]))
        mean, deviation = self.scale.numpy()
        return (seen - mean) / deviation

    def _skill_like(self, centre: np.ndarray) -> int:
        """Return the skill that a cluster's centre belongs to, opened where none is alike and there is room."""
        fresh = torch.from_numpy(centre.astype(np.float32))[None]
        if len(self.looks_like):
            alike = F.cosine_similarity(self.looks_like, fresh)
            if alike.max() >= ALIKE or len(self.looks_like) >= self.options.skills:
                return int(alike.argmax())
            self.looks_like = torch.cat([self.looks_like, fresh])
        else:
            self.looks_like = fresh
        return len(self.looks_like) - 1

    def _new_router(self) -> Router:
        return Router(self.policy.query_width, self.policy.sizes.router_hidden, len(self.skills), 1, shared=True)

    def _learned(self, lesson: Teachable) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        assert isinstance(lesson, AdapterLesson)
        values = copied(lesson.trained)
        meta = {name.removeprefix(META): value for name, value in values.items() if name.startswith(META)}
        return apart({name: value for name, value in values.items() if not name.startswith(META)}), meta

    def _student(self, skills: Sequence[Mapping[str, Tensor]], meta: Mapping[str, Tensor]) -> Student:
        router = self._new_router()
        router.load_state_dict(dict(meta))
        return Student(self.policy, [Slot(factors=factors) for factors in skills], Classified(router.requires_grad_(False).eval()))


def first_demonstrations(data: TaskData, count: int) -> np.ndarray:
    """Return the frames of a task's first demonstrations."""
    return np.arange(data.timeline.lengths[:count].sum())
