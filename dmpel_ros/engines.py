"""How a node, or a replay of what it did, gets the engine that its parameters ask for."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dmpel_core.inference.engine import Engine

LoadEngine = Callable[[Path, int | None, Mapping[str, Any]], Engine]
"""Library, generation, and by name the node's parameters about engines, `ENGINE`, and the key that the library must be `signed_by`."""


def load_library(library: Path, generation: int | None, wanted: Mapping[str, Any]) -> Engine:
    """Load an engine; the import is here because a node with another engine needs none of it."""
    from dmpel_core.inference import Limits, Savings, load_engine

    chosen = {name: wanted[name] for name in ("route_every", "route_after", "tolerance", "hysteresis", "most_change", "precision")}
    savings = Savings(**chosen, int8=Path(wanted["int8"]) if wanted["int8"] else None)
    limits = Limits(signed_by=wanted.get("signed_by"))
    engine, provider, insight = wanted["engine"], wanted["provider"], wanted["alarm"] != "off"
    return load_engine(
        library, generation, wanted["threads"], engine=engine, provider=provider, savings=savings, limits=limits, insight=insight
    )
