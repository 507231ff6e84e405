"""The small preset stays what it was when the shipped library was written: sizes, names, order of chance, numbers."""

import hashlib
import json

import torch
from torch import Tensor

from dmpel_core.experts.pool import ExpertPool, start_expert
from dmpel_core.experts.router import Router
from dmpel_core.policy.policy import Frames, Policy
from dmpel_core.policy.sizes import PolicySizes
from tests.core.conftest import TINY

SHIPPED_SIZES = {
    "cameras": ["agentview", "eye_in_hand"], "pixels": 96, "image_width": 128, "image_blocks": 2, "width": 192, "heads": 8, "mlp_ratio": 2,
    "film_hidden": 128, "temporal_blocks": 4, "window": 10, "head_hidden": 256, "modes": 5, "action": 7, "chunk": 8, "minimum_std": 0.1,
    "dropout": 0.1, "rank": 16, "router_hidden": 256, "top_k": 3,
}  # fmt: skip

# What the code of the shipped library gave.
STATE = (114, "d309e45f4c5b3460")
PLACES = (37, "fbd9a6ca3d70d084")
AFTER_POLICY = [0.534071, 0.340542, 0.765563]
AFTER_EXPERTS = [0.407743, 0.160444, 0.034371]
AFTER_MIX = [0.542393, 0.240946, 0.136304]
COEFFICIENTS = [0.672864, 1.401733, 0.770851, 0.916839, 1.257085, 0.828894]
MEAN = [-0.033957, -0.591694, 0.772188, -0.463429, -0.610936, 0.885167, -0.548782]
STD = [0.55341, 1.349617, 0.520674, 0.774494, 1.308772, 0.386346, 0.920792]


def digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def pattern(shape: tuple[int, ...] | torch.Size, phase: float) -> Tensor:
    """Return numbers that no random generator made."""
    return 0.3 * torch.sin(1.7 * torch.arange(torch.Size(shape).numel()) + phase).view(shape)


def patterned_policy() -> Policy:
    policy = Policy(TINY).eval().requires_grad_(False)
    for number, (name, value) in enumerate(policy.state_dict().items()):
        if not name.startswith("text."):
            value.copy_(pattern(value.shape, number) + (1.0 if name.endswith((".weight", "std")) and value.ndim == 1 else 0.0))
    return policy


def patterned_expert(policy: Policy, number: int) -> dict[str, Tensor]:
    factors = {}
    for module in policy.modules_adapted:
        factors[f"{module.name}.A"] = 0.1 * pattern((module.inputs, TINY.rank), 3.0 * number)
        factors[f"{module.name}.B"] = 0.1 * pattern((TINY.rank, module.outputs), 5.0 * number)
    return factors


def test_sizes_are_written_as_before() -> None:
    assert json.dumps(PolicySizes().to_json()) == json.dumps(SHIPPED_SIZES)
    assert PolicySizes.from_json(SHIPPED_SIZES) == PolicySizes()
    assert PolicySizes.from_json({**SHIPPED_SIZES, "coefficient_dropout": 0.15}) == PolicySizes(), "first libraries name it"


def test_names_and_places_are_those_of_the_shipped_library(policy: Policy) -> None:
    state = [f"{name} {tuple(value.shape)}" for name, value in policy.backbone_state().items()]
    places = [f"{module.name} {module.group} {module.inputs} {module.outputs}" for module in policy.modules_adapted]
    assert (len(state), digest(state)) == STATE
    assert (len(places), digest(places)) == PLACES


def test_chance_is_used_in_the_same_order() -> None:
    torch.manual_seed(0)
    policy, chance = Policy(TINY), torch.Generator().manual_seed(3)
    torch.testing.assert_close(torch.rand(3), torch.tensor(AFTER_POLICY))
    first = start_expert(policy.modules_adapted, [], chance)
    start_expert(policy.modules_adapted, [first], chance)
    torch.testing.assert_close(torch.rand(3, generator=chance), torch.tensor(AFTER_EXPERTS))
    torch.manual_seed(5)
    ExpertPool(policy.modules_adapted, [first]).mix(torch.ones(2, 6, 1), 0.15)
    torch.testing.assert_close(torch.rand(3), torch.tensor(AFTER_MIX))


def test_the_numbers_are_the_same() -> None:
    policy = patterned_policy()
    experts = [patterned_expert(policy, number) for number in (1, 2)]
    router = Router(policy.query_width, TINY.router_hidden, 2, TINY.top_k)
    for number, value in enumerate(router.state_dict().values()):
        value.copy_(pattern(value.shape, number))
    pictures = 0.5 + pattern((3, 2, 3, 32, 32), 0.0)
    with torch.inference_mode():
        frames = Frames(policy.image.trunk(pictures)[None], pattern((1, 3, 7), 1.0), pattern((1, 3, 2), 2.0))
        words = policy.text.trunk("open the drawer")
        coefficients = router(policy.query(frames, policy.text.encode(words)).mean(1))
        mixture = ExpertPool(policy.modules_adapted, experts).mix(coefficients)
        answer = policy.act(policy.tokens(frames, policy.text.encode(words, mixture), mixture), mixture)
    torch.testing.assert_close(coefficients[0, :, 0], torch.tensor(COEFFICIENTS), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(answer.mean[0, -1, 0, 1], torch.tensor(MEAN), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(answer.std[0, -1, 2, 2], torch.tensor(STD), rtol=1e-3, atol=1e-4)
