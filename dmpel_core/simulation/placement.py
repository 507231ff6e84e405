"""Placements wider than the stored ones: LIBERO's objects lie within 3 cm of where they always lie.

Objects move over the surface on which they stand. What stands on another object moves with it, what stands on or in a
fixture stays, and objects that the task places relative to each other (`next to the plate`) move together, so that the
instruction stays true. A fixture that stands elsewhere in every stored state, like robosuite's door, moves as objects do.
"""

from collections.abc import Iterable

import mujoco
import numpy as np

from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.task import World

CLEARANCE = 0.025  # free space around a moved object, enough for a finger [m]
FARTHEST = 0.75  # from the robot's base, where the arm still reaches down to the table [m]
_ATTEMPTS = 6  # whole arrangements tried; every second one with half the reach
_TRIES = 12  # places tried for one group of objects before its reach is halved
_HALVINGS = 4
_SETTLING = 20  # times 50 physics steps, 2 s at most; stored states start with objects up to 6 cm in the air
_AT_REST = 0.02  # velocity below which nothing moves any more [m/s, rad/s]
_ROBOT = "robot"


def widen(environment: Environment, state: np.ndarray, rng: np.random.Generator, reach: float) -> np.ndarray:
    """Move the objects of a stored state apart and let them settle; the environment is left at the result.

    Args:
        environment: Environment of the state's task.
        state: Stored flattened state, (D,).
        rng: Source of the offsets; the same one gives the same placement.
        reach: Farthest that an object moves in x and in y [m]; 0 returns the state itself.

    Returns:
        Flattened state, (D,): objects moved and at rest, arm and other fixtures as stored.
    """
    environment.reset(state)
    if reach <= 0:
        return np.array(state)
    table = _Table(environment, state)
    for attempt in range(_ATTEMPTS):
        placed = table.scatter(rng, reach / 2 ** (attempt // 2))
        settled = table.settle(placed)
        if table.undisturbed(placed, settled) and not environment.success():
            break
    else:
        settled = table.start
    environment.reset(settled)
    return settled


class _Table:
    """The movable objects of one state: what stands on what, and where there is room."""

    def __init__(self, environment: Environment, state: np.ndarray) -> None:
        """Let the stored state settle and read off it which objects belong together."""
        self._environment, self._model, self._data = environment, environment.model, environment.data
        world = environment.world
        self._objects = {name: environment.pose_address(body) for name, body in world.movable.items()}  # place in a state
        self._owners = _owners(self._model, world)
        self._base = self._data.body("robot0_base").xpos[:2].copy()
        self._held, self._held_velocities = np.ones(self._model.nq, bool), np.ones(self._model.nv, bool)
        for joint in (self._model.body_jntadr[body] for body in world.movable.values() if body not in world.posed):
            self._held[self._model.jnt_qposadr[joint] :][:7] = False
            self._held_velocities[self._model.jnt_dofadr[joint] :][:6] = False
        self.start = self.settle(np.array(state))
        self._gaps, supports = self._measure(self.start, self._objects)
        self._groups = self._find_groups(supports | world.together)

    def settle(self, state: np.ndarray) -> np.ndarray:
        """Return the state once the movable objects have come to rest, the arm and the fixtures held where they are."""
        self._environment.reset(state)
        positions, velocities = self._data.qpos, self._data.qvel
        held = state[1 : 1 + self._model.nq][self._held]
        for _ in range(_SETTLING):
            for _ in range(50):
                mujoco.mj_step(self._model, self._data)
                positions[self._held] = held
                velocities[self._held_velocities] = 0
            if np.abs(velocities).max() < _AT_REST:
                break
        mujoco.mj_forward(self._model, self._data)
        calmed = state.copy()
        calmed[1 : 1 + self._model.nq] = positions
        calmed[1 + self._model.nq :][: self._model.nv][~self._held_velocities] = 0
        return calmed

    def scatter(self, rng: np.random.Generator, reach: float) -> np.ndarray:
        """Return a state with each group moved to a free place, one after another in random order."""
        state = self.start.copy()
        for index in rng.permutation(len(self._groups)):
            state = self._place(state, self._groups[index], rng, reach)
        return state

    def undisturbed(self, placed: np.ndarray, settled: np.ndarray) -> bool:
        """Return whether no object slid 1 cm or tilted 10 degrees while settling: one that stood half off the table would."""
        for address in self._objects.values():
            slid = np.linalg.norm(settled[address : address + 3] - placed[address : address + 3])
            alike = abs(settled[address + 3 : address + 7] @ placed[address + 3 : address + 7])
            if slid > 0.01 or alike < np.cos(np.deg2rad(10) / 2):
                return False
        return True

    def _place(self, state: np.ndarray, group: tuple[str, ...], rng: np.random.Generator, reach: float) -> np.ndarray:
        """Return the state with one group moved; where all is taken, it moves less far and in the end not at all."""
        for halving in range(_HALVINGS):
            for _ in range(_TRIES):
                offset = rng.uniform(-reach, reach, 2) / 2**halving
                moved = state.copy()
                for name in group:
                    moved[self._objects[name] : self._objects[name] + 2] += offset
                if self._is_free(moved, group):
                    return moved
        return state

    def _is_free(self, state: np.ndarray, group: tuple[str, ...]) -> bool:
        """Return whether a group may stand where a state has it: in reach of the arm and no closer to others than before."""
        places = np.array([state[self._objects[name] : self._objects[name] + 2] for name in group])
        before = np.array([self.start[self._objects[name] : self._objects[name] + 2] for name in group])
        far = np.linalg.norm(places - self._base, axis=1)
        if (far > np.maximum(FARTHEST, np.linalg.norm(before - self._base, axis=1))).any():
            return False
        gaps, _ = self._measure(state, group)
        others = {pair: gap for pair, gap in gaps.items() if not pair <= set(group)}
        return all(gap >= min(CLEARANCE, self._gaps.get(pair, np.inf) - 0.001) for pair, gap in others.items())

    def _measure(self, state: np.ndarray, names: Iterable[str]) -> tuple[dict[frozenset[str], float], set[tuple[str, str]]]:
        """Measure how close things come to the named objects.

        Returns:
            Smallest distance of each pair nearer than the clearance [m], and which (upper, lower) stand on each other.
        """
        self._environment.set_positions(state)
        mujoco.mj_kinematics(self._model, self._data)
        margins = self._model.geom_margin.copy()
        self._model.geom_margin[np.isin(self._owners, list(names))] = CLEARANCE  # so that MuJoCo reports near misses too
        mujoco.mj_collision(self._model, self._data)
        self._model.geom_margin[:] = margins
        gaps: dict[frozenset[str], float] = {}
        supports = set()
        contacts = self._data.contact
        for (first, second), distance, upward in zip(self._owners[contacts.geom], contacts.dist, contacts.frame[:, 2], strict=True):
            if not first or not second or first == second:
                continue
            pair = frozenset((first, second))
            gaps[pair] = min(gaps.get(pair, np.inf), float(distance))
            if distance < 0.002 and abs(upward) > 0.5:
                supports.add((second, first) if upward > 0 else (first, second))  # the normal points from first to second
        return gaps, supports

    def _find_groups(self, ties: set[tuple[str, str]]) -> list[tuple[str, ...]]:
        """Return sets of objects that move as one: tied to each other, and none tied to a fixture."""
        groups = [{name} for name in self._objects]
        fixed = set()
        for one, other in sorted(ties):
            if one in self._objects and other in self._objects:
                joined = next(group for group in groups if one in group) | next(group for group in groups if other in group)
                groups = [group for group in groups if not group <= joined] + [joined]
            else:
                fixed.add(one)
        return [tuple(sorted(group)) for group in groups if not group & fixed]


def _owners(model: mujoco.MjModel, world: World) -> np.ndarray:
    """Return to which object or fixture each geom belongs, `robot` for the arm, empty for table and room, (ngeom,)."""
    roots = {int(model.body_rootid[body]): name for name, body in (*world.fixed.items(), *world.movable.items())}
    roots[int(model.body_rootid[model.body("robot0_base").id])] = _ROBOT
    return np.array([roots.get(int(model.body_rootid[body]), "") for body in model.geom_bodyid], dtype=object)
