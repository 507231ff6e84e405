"""An engine whose action depends on every bit of what its window holds, so that a replay that misses anything is found out."""

import hashlib
from typing import Any

import numpy as np

from dmpel_core.inference.engine import Tick
from dmpel_core.observation import Observation
from tests.ros.fakes import FakeEngine


class WindowEngine(FakeEngine):
    """Digests the instruction, the generation and all observations since the reset."""

    salt = b""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._window = hashlib.sha256(self.salt)

    def reset(self) -> None:
        super().reset()
        self._window = hashlib.sha256(self.salt)

    def tick(self, observation: Observation) -> Tick:
        tick = super().tick(observation)
        for part in (observation.agentview, observation.eye_in_hand, observation.joints, observation.gripper):
            self._window.update(np.ascontiguousarray(part).tobytes())
        self._window.update(f"{self.instructions[-1:]}{tick.generation}".encode())  # not the engine's: a load may be under way
        numbers = np.frombuffer(self._window.digest()[:28], np.uint32) / 2.0**32
        return Tick(0.1 + numbers / 3, tick.coefficients, tick.generation)


class OtherEngine(WindowEngine):
    """Another policy."""

    salt = b"other"


class ForgetlessEngine(WindowEngine):
    """Differs from the first reset on that had anything to forget."""

    def reset(self) -> None:
        self.resets += 1
