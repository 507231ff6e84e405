"""The policy node as a process, with an engine that does what the instruction says; faults are asked for by name."""

import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.inference.engine import Tick
from dmpel_core.observation import Observation
from dmpel_ros import policy_node

STEP = 0.2
"""What the engine moves by when nothing is wrong, as a share of full deflection."""

NEVER = threading.Event()


def _refuse() -> float:
    raise DmpelError("the graph does not fit the picture")


def _crash() -> float:
    raise RuntimeError("segmentation fault, almost")


def _linger(seconds: float) -> float:
    NEVER.wait(seconds)
    return STEP


SCRIPT = {
    "move": lambda: STEP,
    "not a number": lambda: np.nan,
    "infinite": lambda: np.inf,
    "out of range": lambda: 50.0,
    "refuse": _refuse,
    "crash": _crash,
    "slow": lambda: _linger(0.3),
    "hang": lambda: _linger(3.0),
}


class ScriptedEngine:
    """Moves along x, or fails as told."""

    def __init__(self, library: Path, generation: int | None, wanted: Mapping[str, Any]) -> None:
        self.generation = 3 if generation is None else generation
        self._does = SCRIPT["move"]

    @property
    def expert_names(self) -> tuple[str, ...]:
        return tuple(f"skill {number + 1}" for number in range(self.generation))

    def set_instruction(self, instruction: str) -> None:
        if instruction not in SCRIPT:
            raise DmpelError(f"no such words; known: {', '.join(SCRIPT)}")
        self._does = SCRIPT[instruction]

    def reset(self) -> None:
        pass

    def tick(self, observation: Observation) -> Tick:
        action = np.array([self._does(), 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
        return Tick(action, np.zeros((6, self.generation), np.float32), self.generation)

    def catch_up(self) -> None:
        pass

    def load(self, library: Path, generation: int | None = None) -> None:
        self.generation = 3 if generation is None else generation


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    sys.exit(policy_node.main(None, ScriptedEngine))
