"""What the router would have been asked during a demonstration: its queries, tick by tick, as an engine makes them."""

import numpy as np

from dmpel_core.data.hdf5 import Demonstration
from dmpel_core.experts.library import Library
from dmpel_core.inference.routing import Queries
from dmpel_core.inference.workspace import Workspace
from dmpel_core.observation import Observation


class Asker:
    """Makes queries with a library's frozen backbone alone; no expert takes part."""

    def __init__(self, library: Library) -> None:
        """Open the backbone.

        Raises:
            DmpelError: It is damaged or has no graphs.
        """
        self._work = Workspace(library, 1, "cpu")
        self.text_width = self._work.frozen_sentence.shape[1]

    def text(self, instruction: str) -> np.ndarray:
        """Return the frozen embedding of an instruction, (text_width,)."""
        self._work.read(instruction)
        return self._work.frozen_sentence[0].copy()

    def features(self, demonstration: Demonstration) -> np.ndarray:
        """Return the queries of a demonstration without their text, (L, query_width - text_width): means of the last ticks."""
        queries = Queries(self._work.sizes, self.text_width, self._work.state.shape[1])
        text = np.zeros_like(self._work.frozen_sentence)
        rows = []
        for tick in range(len(demonstration)):
            self._work.observe(observation_at(demonstration, tick))
            self._work.look()
            queries.see(text, self._work.classes)
            queries.remember(self._work.state)
            rows.append(queries.mean()[self.text_width :])
        return np.stack(rows)


def observation_at(demonstration: Demonstration, tick: int) -> Observation:
    """Return what the arm saw and felt at one tick."""
    assert demonstration.agentview is not None
    assert demonstration.eye_in_hand is not None
    pictures = demonstration.agentview[tick], demonstration.eye_in_hand[tick]
    return Observation(*pictures, demonstration.joints[tick], demonstration.gripper[tick])
