"""What an algorithm has learned, in the one form in which everything is measured: slots on a backbone, and what chooses among them.

A slot replaces some weights of the backbone, adds low-rank factors to it, or both. Full fine-tuning is one slot with all weights;
DMPEL has one slot of factors for each expert and its router.

    student.safetensors    slot.0.whole.head.mean.weight, slot.0.factor.temporal.blocks.0.attention.qkv.q.A, chooser.net.0.weight, ...
"""

import copy
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dmpel_core.experts.pool import ExpertPool
from dmpel_core.lifelong.batch import Batch, act
from dmpel_core.lifelong.choosers import Chooser, one_hot, read_chooser
from dmpel_core.policy.adapted import Mixture
from dmpel_core.policy.policy import Policy


@dataclass(frozen=True)
class Slot:
    """One adaptation of the backbone.

    Attributes:
        whole: Weights that replace the backbone's, by the policy's names.
        factors: Low-rank factors as an expert has them, or none.
    """

    whole: Mapping[str, Tensor] = field(default_factory=dict)
    factors: Mapping[str, Tensor] = field(default_factory=dict)


class Student:
    """A policy that can be played and measured.

    Args:
        base: The backbone.
        slots: At least one; all have factors or none has.
        chooser: Chooses among several; one slot alone needs none.
    """

    def __init__(self, base: Policy, slots: Sequence[Slot], chooser: Chooser | None = None) -> None:
        self.base, self.slots, self.chooser = base, list(slots), chooser
        self.policies = [transplant(base, slot.whole) if slot.whole else base for slot in slots]
        adapted = [module for module in base.modules_adapted if f"{module.name}.A" in slots[0].factors]
        self.pool = ExpertPool(adapted, [slot.factors for slot in slots]) if adapted else None

    def coefficients(self, query: Tensor | None, rows: int) -> Tensor:
        """Return each slot's coefficients (rows, 6, slots) for queries (rows, query_width)."""
        if self.chooser is None or query is None:
            return one_hot(torch.zeros(rows, dtype=torch.long), 1)
        return self.chooser(query)

    def mixture(self, coefficients: Tensor) -> Mixture | None:
        """Return the mixed factors of all slots, or None where there are no factors."""
        return None if self.pool is None else self.pool.mix(coefficients)

    def owner(self, coefficients: Tensor) -> Tensor:
        """Return whose weights act for each sample, (rows,)."""
        return coefficients.sum(1).argmax(-1)

    @torch.inference_mode()
    def likelihood(self, batch: Batch) -> tuple[float, float]:
        """Return the summed negative log-likelihood of a batch's actions and of how many ticks it is."""
        query = None if batch.features is None else self.base.sequence_query(batch.features)
        coefficients = self.coefficients(query, len(batch.joints))
        owner, total = self.owner(coefficients), 0.0
        for slot in owner.unique().tolist() if len(set(map(id, self.policies))) > 1 else [None]:
            chosen = torch.ones_like(owner, dtype=torch.bool) if slot is None else owner == slot
            part, policy = batch.rows(chosen), self.policies[slot or 0]
            answer, _ = act(policy, part, self.mixture(coefficients[chosen]))
            total += answer.negative_log_likelihood(part.sequences.actions, part.sequences.valid).sum().item()
        return total, batch.sequences.valid[..., 0].sum().item()

    def tensors(self) -> dict[str, Tensor]:
        """Return everything beside the backbone, by name."""
        found: dict[str, Tensor] = {}
        for number, slot in enumerate(self.slots):
            found |= {f"slot.{number}.whole.{name}": value for name, value in slot.whole.items()}
            found |= {f"slot.{number}.factor.{name}": value for name, value in slot.factors.items()}
        if self.chooser is not None:
            found |= {f"chooser.{name}": value for name, value in self.chooser.tensors().items()}
        return {name: value.detach().cpu().contiguous() for name, value in found.items()}


def transplant(base: Policy, whole: Mapping[str, Tensor]) -> Policy:
    """Return a policy with some weights of its own, which shares all others with the backbone."""
    shared: dict[int, object] = {id(value): value for name, value in (*base.named_parameters(), *base.named_buffers()) if name not in whole}
    if not any(name.startswith("text.") for name in whole):
        shared[id(base.text)] = base.text
    policy = copy.deepcopy(base, shared)  # what is in the memo is taken for copied
    own = dict(policy.named_parameters())
    with torch.no_grad():
        for name, value in whole.items():
            own[name].copy_(value)
    return policy


def save_student(student: Student, folder: Path) -> Path:
    """Write a student under a name that its content gives, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"student-{os.getpid()}.partial"  # several processes may write the same
    about = {"slots": len(student.slots), "chooser": "" if student.chooser is None else student.chooser.kind}
    save_file(student.tensors(), aside, metadata={"student": json.dumps(about)})  # one entry: several would be written in any order
    with aside.open("rb") as file:
        name = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        os.fsync(file.fileno())
    return aside.replace(folder / f"{name}.safetensors")


def load_student(path: Path, base: Policy) -> Student:
    """Return what `save_student` wrote, on the same backbone."""
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["student"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - an open file, not a dictionary
    slots = [Slot(_below(tensors, f"slot.{number}.whole."), _below(tensors, f"slot.{number}.factor.")) for number in range(about["slots"])]
    kind = about["chooser"]
    return Student(base, slots, read_chooser(kind, _below(tensors, "chooser.")) if kind else None)


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
