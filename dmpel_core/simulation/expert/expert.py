"""The expert: solves a task from its goal predicates and the simulator's full state."""

from collections.abc import Callable

import mujoco
import numpy as np

from dmpel_core.simulation.expert.motion import Actions, Arm
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.skills.doors import open_door
from dmpel_core.simulation.expert.skills.drawers import close_drawer, open_drawer
from dmpel_core.simulation.expert.skills.insert import insert
from dmpel_core.simulation.expert.skills.into_drawer import put_into_drawer
from dmpel_core.simulation.expert.skills.lean import lean
from dmpel_core.simulation.expert.skills.pick_place import Spot, pick, place
from dmpel_core.simulation.expert.skills.push import push
from dmpel_core.simulation.expert.skills.shelve import shelve
from dmpel_core.simulation.expert.skills.stove import turn_off, turn_on
from dmpel_core.simulation.expert.skills.swing import close_door, has_hinge
from dmpel_core.simulation.expert.spots import Predicate, spot_for
from dmpel_core.simulation.expert.stuck import StuckError

_KINDS = ("turnon", "turnoff", "open", "on", "in", "lift", "close")
_IN_REGION = 0.75
"""Share of a region's half size within which an object is put: the rest is for what the hand misses by."""


def in_order(goal: tuple[Predicate, ...]) -> list[Predicate]:
    """Return the predicates of a goal in the order in which they can be made true.

    What nothing goes into is closed first, out of the way. Then things are turned and opened; then moved, each after what it is put
    upon; then the rest is closed.
    """
    moves = {names[0]: names[1] for _, *names in goal if len(names) == 2}

    def rank(predicate: Predicate) -> int:
        kind, *names = predicate
        if kind == "close":
            return len(goal) + 1 if any(target.startswith(names[0]) for target in moves.values()) else -1
        if len(names) < 2:
            return 0
        under, carried = 1, moves.get(names[1])
        while carried is not None and under < len(goal):
            under, carried = under + 1, moves.get(carried)
        return under

    return sorted(goal, key=rank)


class Expert:
    """One attempt at a task, a stepwise source of clean actions.

    The caller executes what it likes (the action, or a perturbed one) and asks again: every action is computed from the
    state it is asked in, so it is the right label for the observation of that state.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, goal: tuple[Predicate, ...], attempt: int = 0) -> None:
        """Prepare an attempt.

        Args:
            model: The compiled scene.
            data: Its live state, stepped by the caller.
            goal: Predicates that must all hold, e.g. `(("on", "akita_black_bowl_1", "plate_1"),)`.
            attempt: Which of several ways to try: another grasp, another tilt of the hand.
        """
        self._scene = Scene(model, data)
        self._arm = Arm(model, data)
        self._goal = goal
        self._attempt = attempt
        self._actions = self._run()

    @property
    def phase(self) -> str:
        """What the last action was for, one of `dmpel_core.skills.vocabulary.PHASES`."""
        return self._arm.phase

    @property
    def pointing(self) -> np.ndarray:
        """The way that the hand shall point, unit (3,)."""
        return self._arm.rotation_goal[:, 2]

    def act(self) -> np.ndarray | None:
        """Return the clean action for the current state, (7,) in [-1, 1]; None when there is nothing left to do.

        Raises:
            StuckError: This attempt has failed.
        """
        return next(self._actions, None)

    def _run(self) -> Actions:
        for predicate in in_order(self._goal):
            yield from self._achieve(predicate)
        self._arm.phase = "wait"
        yield from self._arm.hold(25)

    def _achieve(self, predicate: Predicate) -> Actions:
        kind, *names = predicate
        if kind == "lift" and len(names) == 1:
            return pick(self._arm, self._scene, names[0], choice=self._attempt)
        if kind == "open" and len(names) == 1 and self._scene.has_joint(f"{names[0]}_latch_joint"):
            return open_door(self._arm, self._scene, names[0], attempt=self._attempt)
        if kind == "close" and len(names) == 1 and has_hinge(self._scene, names[0]):
            return close_door(self._arm, self._scene, names[0], attempt=self._attempt)
        single: dict[str, Callable[..., Actions]] = {"open": open_drawer, "close": close_drawer, "turnon": turn_on, "turnoff": turn_off}
        if kind in single and len(names) == 1:
            if kind in ("open", "close") and not self._scene.has_site(names[0]):
                raise StuckError(
                    f"no skill for ({' '.join(predicate)}): no drawer, nor a door with a latch to open or one on a hinge to close"
                )
            return single[kind](self._arm, self._scene, names[0], attempt=self._attempt)
        if kind in ("on", "in") and len(names) == 2:
            return self._put(predicate)
        raise StuckError(f"no skill for ({' '.join(predicate)}); known predicates: {', '.join(_KINDS)}")

    def _put(self, predicate: Predicate) -> Actions:
        _, name, target = predicate
        spot = spot_for(self._scene, self._goal, predicate)
        if spot is not None:
            return self._pick_and_place(name, spot)
        owner = self._scene.site_owner(target)
        if owner is None:
            slack = _IN_REGION * float(self._scene.site_size(target)[:2].min())
            return push(self._arm, self._scene, name, self._scene.site_position(target)[:2], slack=slack, attempt=self._attempt)
        if "desk_caddy" in owner and target.endswith("_back_contain_region"):
            return lean(self._arm, self._scene, name, target, attempt=self._attempt)
        if "desk_caddy" in owner:
            return shelve(self._arm, self._scene, name, self._scene.site_position(target)[:2], attempt=self._attempt)
        if target.endswith("_heating_region"):
            return insert(self._arm, self._scene, name, target, attempt=self._attempt)
        if "cabinet" in owner:
            return put_into_drawer(self._arm, self._scene, name, target, attempt=self._attempt)
        raise StuckError(f"no skill puts {name} into {target}")

    def _pick_and_place(self, name: str, spot: Spot) -> Actions:
        yield from pick(self._arm, self._scene, name, choice=self._attempt, spot=None if spot.walled else spot)
        yield from place(self._arm, self._scene, name, spot)
