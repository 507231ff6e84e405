"""Libraries of random weights whose routers and replay memories do fit each other."""

from pathlib import Path

import numpy as np
import torch

from dmpel_core.experts.library import Library, add_expert, select_generation
from dmpel_core.experts.replay import ReplayMemory
from dmpel_core.experts.router import Router
from dmpel_core.inference.layout import Layout
from dmpel_core.policy.query import query_width
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.policy.text_files import WIDTH
from tests.core.conftest import TINY
from tests.core.engines import make_exported

QUERY = query_width(TINY, WIDTH, 9)
SAMPLES = 64


def context(task: int, samples: int = SAMPLES, seed: int = 0) -> torch.Tensor:
    """Return queries (samples, query_width) of a task: its own text, and features around its own place."""
    rng = np.random.default_rng([seed, task])
    own = np.random.default_rng(100 + task)
    text, place = own.normal(size=WIDTH), own.normal(size=QUERY - WIDTH)
    features = place + 0.1 * rng.normal(size=(samples, QUERY - WIDTH))
    return torch.from_numpy(np.concatenate([np.tile(text, (samples, 1)), features], 1).astype(np.float32))


def memory(task: int, experts: int, strongest: int | None = None) -> ReplayMemory:
    """Return a task's memory: its own expert strong, or another one, and the others weak."""
    coefficients = torch.full((SAMPLES, 6, experts), 0.1)
    coefficients[:, :, task if strongest is None else strongest] = 1.0
    return ReplayMemory.of(context(task), WIDTH, coefficients, TINY.top_k)


def router_for(memories: list[ReplayMemory], experts: int, exact: float = 1.0) -> Router:
    """Return a router whose last layer is solved for, so that it answers like these memories; less exact, it answers more evenly."""
    torch.manual_seed(0)
    router = Router(QUERY, TINY.router_hidden, experts, TINY.top_k).requires_grad_(False)
    hidden = router.net[:-1](torch.cat([memory.queries() for memory in memories]))
    answers = torch.cat([memory.targets(experts) for memory in memories]).clamp(1e-3, 1.999) / 2
    inputs = torch.cat([hidden, torch.ones(len(hidden), 1)], 1)
    eye = 1e-4 * torch.eye(inputs.shape[1])
    solved = exact * torch.linalg.solve(inputs.T @ inputs + eye, inputs.T @ answers.logit().flatten(1))
    last = router.net[-1]
    last.weight.copy_(solved[:-1].T)
    last.bias.copy_(solved[-1])
    return router


def grow(library: Library, router: Router, name: str, strength: float = 0.05) -> Library:
    """Add an expert with this router and a memory of its own."""
    task, layout = len(library.experts), Layout(library.modules, PolicySizes.from_json(library.policy).expert_bias)
    row = (strength * np.random.default_rng(task).normal(size=layout.size)).astype(np.float32)
    return add_expert(
        library,
        name=name,
        instructions=(f"put the bowl on plate {task}",),
        skill="put",
        factors={place: layout.view(row, place) for place in layout.names},
        router={key: value.numpy() for key, value in router.state_dict().items()},
        replay=memory(task, task + 1).tensors(),
        provenance={"dataset": "00" * 32, "seed": task, "metrics": {}, "demonstrations": 5},
    )


def make_taught(path: Path, experts: int = 3) -> Library:
    """Write a library, a generation for each expert, each router trained by coefficient replay."""
    library = make_exported(path, TINY)
    for task in range(experts):
        router = router_for([memory(old, task + 1) for old in range(task + 1)], task + 1)
        library = grow(library, router, f"task {task}")
    return library


def spoil(library: Library) -> Library:
    """Teach generation 2's successor anew with wrong labels: the router learns each task's contexts with the next one's expert."""
    parent = select_generation(library.path, 2)
    wrong = [memory(task, 3, strongest=(task + 1) % 3) for task in range(3)]
    return grow(parent, router_for(wrong, 3), "task 2 with wrong labels")
