"""A scripted expert with privileged state, the teacher of the demonstrations."""

from dmpel_core.simulation.expert.expert import Expert
from dmpel_core.simulation.expert.stuck import StuckError

__all__ = ["Expert", "StuckError"]
