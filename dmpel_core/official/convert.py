"""An official state dict as a library, and a library as an official state dict."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, NewExpert, add_experts, create_library
from dmpel_core.experts.replay import ReplayMemory
from dmpel_core.groups import GROUPS
from dmpel_core.official.fit import check_fit, expert_count
from dmpel_core.official.names import backbone_from_official, experts_from_official, router_from_official, to_official
from dmpel_core.policy.clip_text import ClipTextTower
from dmpel_core.policy.policy import TOKENIZER, Policy
from dmpel_core.policy.presets import CLIP_VIT_B16
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.training.interface import OBSERVATION, library_modules


def join_states(task: Mapping[str, Tensor], backbone: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the state dict of a task with the frozen tensors of the pretrained policy, which the official code saves only once.

    Raises:
        DmpelError: Both hold a tensor and the two differ: the task was not learned on this backbone.
    """
    odd = sorted(name for name in task.keys() & backbone.keys() if not torch.equal(task[name], backbone[name]))
    if odd:
        raise DmpelError(f"{source} and the backbone's checkpoint hold different values of {', '.join(odd)}: they do not belong together")
    return {**backbone, **task}


def import_state(
    state: Mapping[str, Tensor],
    path: Path,
    *,
    source: str,
    instructions: Sequence[str] = (),
    tokenizer: bytes = b"",
    base: PolicySizes = CLIP_VIT_B16,
) -> Library:
    """Write a library: a backbone, and where the state dict has experts all of them and their router.

    Args:
        state: Under the official names.
        path: New folder, or one that is empty.
        source: What to call the state dict, in errors and in the library.
        instructions: One sentence for each expert; none for `expert 1`, `expert 2` and so on.
        tokenizer: Content of CLIP's `tokenizer.json`, without which the policy understands no sentence.
        base: What no shape tells.

    Raises:
        DmpelError: A tensor is missing, unexpected or misshapen, or there are not as many instructions as experts.
    """
    sizes, count = check_fit(state, base, source), expert_count(state)
    if instructions and len(instructions) != count:
        raise DmpelError(f"{len(instructions)} instructions for {count} experts: expected one for each, in the order of learning")
    with torch.device("meta"):
        policy = Policy(sizes)
    backbone = {name: value.numpy() for name, value in backbone_from_official(state, sizes).items()}
    if tokenizer and isinstance(policy.text, ClipTextTower):
        policy.text.set_tokenizer(tokenizer)
        backbone[TOKENIZER] = np.frombuffer(tokenizer, np.uint8)
    library = create_library(
        path, backbone=backbone, policy=sizes.to_json(), modules=library_modules(policy),
        text_encoder=policy.text.identity(), observation=OBSERVATION,
    )  # fmt: skip
    names = list(instructions) or [f"expert {number}" for number in range(1, count + 1)]
    factors = [{name: value.numpy() for name, value in expert.items()} for expert in experts_from_official(state, sizes)]
    router = {name: value.numpy() for name, value in router_from_official(state).items()}
    provenance = {"dataset": "", "seed": -1, "metrics": {}, "imported": source}
    experts = [
        NewExpert(name, (name,), name.split()[0], expert, no_memory(policy).tensors(), provenance)
        for name, expert in zip(names, factors, strict=True)
    ]
    return add_experts(library, experts, router) if experts else library


def no_memory(policy: Policy) -> ReplayMemory:
    """Return a replay memory of no sample: the official files keep none beside the experts."""
    sparse = (0, len(GROUPS), policy.sizes.top_k)
    text, rest = policy.text.width, policy.query_width - policy.text.width
    floats = (np.zeros(shape, np.float32) for shape in ((text,), (0, rest), sparse))
    return ReplayMemory(next(floats), next(floats), np.zeros(sparse, np.int32), next(floats))


def export_state(library: Library, *, position_ids: bool = False) -> dict[str, Tensor]:
    """Return the official state dict of a library's generation: that of a pretrained policy, or of a task with all experts.

    Args:
        library: The generation.
        position_ids: See `dmpel_core.official.names.to_official`.

    Raises:
        DmpelError: The library's policy is not of the published architecture.
    """
    backbone = _tensors(library.backbone())
    experts = [_tensors(library.factors(index)) for index in range(len(library.experts))]
    return to_official(backbone, experts, _tensors(library.router()), position_ids=position_ids)


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, by which a library names what it was imported from."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in arrays.items()}
