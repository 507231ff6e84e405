"""Libraries of random weights with their graphs, and observations, for the engines' tests."""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from dmpel_core.experts.library import Library, add_expert, create_library
from dmpel_core.experts.router import Router
from dmpel_core.inference import Engine
from dmpel_core.inference.export.command import export_library
from dmpel_core.observation import Observation
from dmpel_core.policy.clip_text import ClipTextTower
from dmpel_core.policy.policy import FINGERS, JOINTS, Policy
from dmpel_core.policy.query import query_width
from dmpel_core.policy.sizes import LanguageSizes, PolicySizes, VisionSizes
from dmpel_core.policy.text_files import WIDTH
from dmpel_core.training.interface import OBSERVATION, library_modules

WORDS = ["<start>", "<end>", "open", "turn", "on", "the", "drawer", "stove"]
TINY_CLIP = PolicySizes(
    pixels=20, image_width=32, width=32, heads=4, film_hidden=16, temporal_blocks=2, window=4, head_hidden=24, modes=3, chunk=1,
    rank=4, tower_rank=2, router_hidden=16, minimum_std=1e-4, adapt="query_value", temporal_hidden=40, temporal_activation="gelu_tanh",
    waypoint=False, expert_bias=True, query_difference=True,
    vision=VisionSizes(16, 4, 3, (1, 2), 4, 64, "gelu", 0), language=LanguageSizes(24, 3, (1, 2), 4, 48, 16, 8, len(WORDS), 1, 28),
)  # fmt: skip


def word_tokenizer() -> bytes:
    """Return a tokenizer of `WORDS` that marks start and end."""
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token=WORDS[1]))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="<start> $A <end>", special_tokens=[("<start>", 0), ("<end>", 1)])
    return tokenizer.to_str().encode()


def make_exported(path: Path, sizes: PolicySizes, experts: int = 0, seed: int = 0, side: int = 128) -> Library:
    """Write a library of random weights for pictures of `side` pixels, export its graphs, then add experts, a generation each."""
    torch.manual_seed(seed)
    policy = Policy(sizes)
    if isinstance(policy.text, ClipTextTower):
        policy.text.set_tokenizer(word_tokenizer())
    for name, value in policy.named_parameters():
        if name.startswith(("text.", "image.")) and policy.text.stored:
            torch.nn.init.normal_(value, std=0.2)
    library = create_library(
        path,
        backbone={name: value.detach().numpy() for name, value in policy.backbone_state().items()},
        policy=sizes.to_json(),
        modules=library_modules(policy),
        text_encoder=policy.text.identity(),
        observation=OBSERVATION | {"cameras": {name: [side, side, 3] for name in OBSERVATION["cameras"]}},
    )
    library = export_library(path)
    for number in range(experts):
        library = grow(library, f"skill {number}")
    return library


def grow(library: Library, name: str, router: dict[str, np.ndarray] | None = None) -> Library:
    """Add an expert of random factors, and a router that tells experts apart."""
    sizes, number = PolicySizes.from_json(library.policy), len(library.experts)
    rng = np.random.default_rng(number)
    factors = {}
    for module in library.modules:
        factors[f"{module.name}.A"] = rng.normal(0, module.inputs**-0.5, (module.inputs, module.rank)).astype(np.float32)
        factors[f"{module.name}.B"] = rng.normal(0, 0.1, (module.rank, module.outputs)).astype(np.float32)
        if sizes.expert_bias and module.group in {"proprioception", "fusion", "head"}:
            factors[f"{module.name}.bias"] = rng.normal(0, 0.1, module.outputs).astype(np.float32)
    return add_expert(
        library,
        name=name,
        instructions=(name,),
        skill="none",
        factors=factors,
        router=router or random_router(library, number + 1),
        replay={"queries": np.zeros((1, 1), np.float32)},
        provenance={"dataset": "00" * 32, "seed": number, "metrics": {}},
    )


def random_router(library: Library, experts: int) -> dict[str, np.ndarray]:
    """Return a router whose coefficients differ between experts and ticks."""
    sizes = PolicySizes.from_json(library.policy)
    torch.manual_seed(experts)
    width = query_width(sizes, sizes.language.outputs if sizes.language else WIDTH, JOINTS + FINGERS)
    router = Router(width, sizes.router_hidden, experts, sizes.top_k, shared=sizes.router_shared)
    router.net[-1].weight.data *= 10
    return {name: value.detach().numpy() for name, value in router.state_dict().items()}


def observations(count: int, side: int = 32) -> list[Observation]:
    """Return random pictures and joints."""
    rng = np.random.default_rng(0)
    return [
        Observation(*rng.integers(0, 256, (2, side, side, 3), dtype=np.uint8), rng.normal(size=7), rng.uniform(0, 0.04, 2))
        for _ in range(count)
    ]


def actions(engine: Engine, seen: list[Observation]) -> np.ndarray:
    """Return the action of each tick of a new episode."""
    engine.reset()
    return np.stack([engine.tick(observation).action for observation in seen])
