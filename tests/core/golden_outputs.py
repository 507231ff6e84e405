"""What our policy gives on a golden case, under the names of the case's arrays."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dmpel_core.errors import DmpelError
from dmpel_core.experts.chunk import act_on_chunk
from dmpel_core.experts.pool import ExpertPool
from dmpel_core.experts.replay import ReplayMemory, replay_loss
from dmpel_core.experts.router import Router
from dmpel_core.inference.episode import Episode
from dmpel_core.official.names import Layout, backbone_from_official, experts_from_official, factor_names, router_from_official
from dmpel_core.policy.clip_text import ClipTextTower
from dmpel_core.policy.policy import Frames, Policy
from tests.core.golden import Case, load_case

INPUTS = {
    "input_ids", "attention_mask", "joint_states", "gripper_states", "actions", "agentview_rgb", "eye_in_hand_rgb",
    "rollout_joint_states", "rollout_gripper_states", "rollout_agentview_rgb", "rollout_eye_in_hand_rgb",
}  # fmt: skip


class Built:
    """A case's policy, experts and router, made of the ordinary classes."""

    def __init__(self, case: Case) -> None:
        sizes, state = case.sizes, case.weights
        unknown = {name for name in case.arrays if name.startswith("in_")} - {f"in_{name}" for name in INPUTS}
        if unknown:
            raise DmpelError(f"golden case {case.name} has inputs that this test does not know: {sorted(unknown)}")
        self.case, self.policy = case, Policy(sizes)
        self.policy.load_backbone(backbone_from_official(state, sizes))
        self.policy.requires_grad_(False).eval()
        experts = experts_from_official(state, sizes)
        assert len(experts) == case.experts
        assert isinstance(self.policy.text, ClipTextTower)
        self.text = self.policy.text
        self.old = [{name: nn.Parameter(value) for name, value in expert.items()} for expert in experts[:-1]]
        self.newest = {name: nn.Parameter(value) for name, value in experts[-1].items()}
        assert set(self.newest) == {name for module in self.policy.modules_adapted for name in module.shapes()}
        self.pool = ExpertPool(self.policy.modules_adapted, self.old, self.newest)
        self.router = Router(self.policy.query_width, sizes.router_hidden, len(experts), sizes.top_k, shared=sizes.router_shared)
        self.router.load_state_dict(router_from_official(state))

    def frames(self, prefix: str) -> Frames:
        """Return the frames (batch, ticks) whose inputs' names begin so, after the frozen half of the image tower."""
        pictures = torch.stack([self.case.tensor(f"{prefix}{camera}_rgb") for camera in self.case.sizes.cameras], -4)
        joints, gripper = (self.case.tensor(f"{prefix}{part}_states") for part in ("joint", "gripper"))
        if prefix == "in_rollout_":  # (ticks, ...) of one episode
            pictures, joints, gripper = pictures[None], joints[None], gripper[None]
        tokens = self.policy.image.trunk(pictures.flatten(0, 1)).unflatten(0, pictures.shape[:2])
        return Frames(tokens, joints, gripper)

    def rows(self, coefficients: Tensor) -> Tensor:
        """Return sparse coefficients (..., 6, experts) as the official code shapes them: one row for a shared router."""
        if not self.case.sizes.router_shared:
            return coefficients
        assert (coefficients == coefficients[..., :1, :]).all()
        return coefficients[..., 0, :]


@cache
def outputs(path: Path) -> dict[str, np.ndarray]:
    """Return everything that the published policy's arrays can be compared with; top-k as the sparse vector they stand for."""
    built = Built(load_case(path))
    found = {**train(built), **rollout(built)}
    return {name: value.detach().numpy() for name, value in found.items()}


def train(built: Built) -> dict[str, Tensor]:
    """Return query, coefficients, mixture, likelihood, gradients and replay of the batch."""
    case, policy, router = built.case, built.policy, built.router
    ids, mask = case.tensor("in_input_ids"), case.tensor("in_attention_mask")
    ends = built.text.ends(ids)
    assert all(row[: end + 1].all() for row, end in zip(mask, ends, strict=True)), "nothing before the end of a sentence is masked"
    frames, words = built.frames("in_"), built.text.embed(ids)
    query = policy.sequence_query(policy.query(frames, built.text.encode(words, ends=ends)))
    coefficients = router(query)
    mixture, _ = act_on_chunk(policy, built.pool, coefficients, frames, words, ends=ends)
    likelihood = mixture.negative_log_likelihood(case.tensor("in_actions")[..., None, :]).mean()
    likelihood.backward()
    found = {
        "out_train_query": query,
        "out_train_topk": built.rows(coefficients),
        "out_train_gmm_mean": mixture.mean[..., 0, :],
        "out_train_gmm_std": mixture.std[..., 0, :],
        "out_train_gmm_logits": mixture.logits.log_softmax(-1),
        "out_train_nll": likelihood,
    }
    return {**found, **gradients(built), **replay(built, query)}


def gradients(built: Built) -> dict[str, Tensor]:
    """Return the gradients under the official names; that older experts have none is asserted."""
    assert all(value.grad is None for expert in built.old for value in expert.values()), "an old expert got a gradient"
    assert all(value.grad is None for value in built.policy.parameters()), "the backbone got a gradient"
    table = factor_names(Layout.of(built.case.sizes))
    found = {f"out_grad_newest.{table[name]}": value.grad for name, value in built.newest.items()}
    found |= {f"out_grad.moe_router.encoder.{name.removeprefix('net.')}": p.grad for name, p in built.router.named_parameters()}
    return {name: grad if grad is not None else torch.zeros(()) for name, grad in found.items()}


def replay(built: Built, query: Tensor) -> dict[str, Tensor]:
    """Return the router's answer as coefficient replay sees it, and its loss."""
    target = built.case.tensor("out_replay_target")
    answer = built.router(query)
    memory = ReplayMemory.of(query.detach(), built.text.width, answer.detach(), built.case.sizes.top_k)
    assert torch.equal(memory.targets(built.case.experts), answer), "what is stored is what was answered"
    rows = target[:, None].expand_as(answer) if built.case.sizes.router_shared else target
    return {"out_replay_target": target, "out_replay_vector": built.rows(answer), "out_replay_loss": replay_loss(built.router, query, rows)}


@torch.no_grad()
def rollout(built: Built) -> dict[str, Tensor]:
    """Return the mixture of every tick of one episode with instruction 0, as an engine computes it."""
    ids = built.case.tensor("in_input_ids")[:1]
    words = built.text.embed(ids[:, : built.text.ends(ids)[0] + 1])
    text, frames, episode = built.text.encode(words), built.frames("in_rollout_"), Episode(built.case.sizes)
    ticks = []
    for tick in range(frames.joints.shape[1]):
        now = Frames(*(part[:, tick : tick + 1] for part in (frames.tokens, frames.joints, frames.gripper)))
        mixture, coefficients = episode.tick(built.policy, built.pool, built.router, now, words, text)
        assert coefficients is not None
        ticks.append((mixture.mean[..., 0, :], mixture.std[..., 0, :], mixture.logits.log_softmax(-1), built.rows(coefficients)))
    names = ("out_rollout_mean", "out_rollout_std", "out_rollout_logits", "out_rollout_topk")
    return {name: torch.stack(part) for name, part in zip(names, zip(*ticks, strict=True), strict=True)}
