"""Record one episode of the expert: the clean action at every observation, and what was executed in its place."""

from collections.abc import Callable, Iterator

import mujoco
import numpy as np

from dmpel_core.data.hdf5 import Demonstration
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.expert import Expert, StuckError
from dmpel_core.simulation.expert.motion import OPEN
from dmpel_core.simulation.rendering import Moment
from dmpel_core.skills.vocabulary import PHASES

SETTLE_TICKS = 5
"""Idle ticks after a reset, in which objects come to rest; not recorded, as in LIBERO's own files."""
_MOST_SETTLE_TICKS, _AT_REST = 40, 0.05
"""Some stored states drop objects from 6 cm: wait longer until nothing moves faster than this [m/s, rad/s]."""
_RELEASE_TICKS, _OPENED = 5, 0.005
_HOLDING = frozenset({"grasp", "lift", "transport", "place", "push"})

Disturb = Callable[[np.ndarray, str, np.ndarray], np.ndarray]
"""Turns the clean action (7,), in a phase and for a hand that shall point some way (3,), into the one to execute."""
Lead = Callable[[Environment], None]
"""Brings a scene to where the expert shall take over."""


def settle(environment: Environment) -> int:
    """Let the scene come to rest with the hand open, and return how many ticks that took."""
    idle = np.zeros(7)
    idle[6] = OPEN
    for tick in range(_MOST_SETTLE_TICKS):
        if tick >= SETTLE_TICKS and _at_rest(environment):
            return tick
        environment.step(idle)
    return _MOST_SETTLE_TICKS


def _at_rest(environment: Environment) -> bool:
    model = environment.model
    addresses = model.jnt_dofadr[model.jnt_type == int(mujoco.mjtJoint.mjJNT_FREE)]
    return all(np.abs(environment.data.qvel[address : address + 6]).max() < _AT_REST for address in addresses)


def record_episode(
    environment: Environment, state: np.ndarray, *, attempt: int, disturb: Disturb, longest: int, lead: Lead | None = None
) -> Demonstration:
    """Let the expert solve the task from a state.

    The episode ends when the goal holds and the hand has let go: a goal that is reached while the object is still held
    would teach a policy never to open its fingers. Pictures are drawn at the end, of a success only: they are half of the work.

    Args:
        environment: The task, built with rendering.
        state: Where to start, (D,).
        attempt: Which of the expert's ways to try.
        disturb: What to execute in place of the clean action.
        longest: Ticks after which the episode counts as failed.
        lead: What happens before the expert takes over; it is not recorded.

    Raises:
        StuckError: The expert failed.
    """
    environment.reset(state)
    settled = settle(environment)
    if lead is not None:
        lead(environment)
        state, settled = environment.state(), 0
    expert = Expert(environment.model, environment.data, environment.task.goal, attempt)
    ticks: list[dict[str, np.ndarray]] = []
    phases: list[str] = []
    moments: list[Moment] = []
    while not (environment.success() and _let_go(phases, ticks)):
        action = expert.act()
        if action is None or len(ticks) >= longest:
            raise StuckError(f"{environment.task.instruction!r} is not solved after {len(ticks)} ticks")
        executed = disturb(action, expert.phase, expert.pointing)
        ticks.append({**_felt(environment), "actions": action, "executed_actions": executed})
        phases.append(expert.phase)
        moments.append(environment.moment())
        environment.step(executed)
    numbers = np.array([PHASES.index(phase) for phase in phases], np.uint8)
    notes = {"settle_ticks": settled}
    agentview, eye_in_hand = (np.stack(seen) for seen in zip(*map(environment.pictures_of, moments), strict=True))
    return Demonstration(
        **_stacked(ticks), agentview=agentview, eye_in_hand=eye_in_hand,
        phases=numbers, phase_names=PHASES, initial_state=np.array(state), attributes=notes,
    )  # fmt: skip


def expert_actions(environment: Environment) -> Iterator[np.ndarray]:
    """Yield the clean action, (7,), for the state in which each is asked for, until the goal holds and the hand is empty.

    Raises:
        StuckError: The expert failed.
    """
    expert = Expert(environment.model, environment.data, environment.task.goal)
    while not environment.success() or expert.phase in _HOLDING | {"release"}:
        action = expert.act()
        if action is None:
            raise StuckError(f"{environment.task.instruction!r} is not solved")
        yield action


def _let_go(phases: list[str], ticks: list[dict[str, np.ndarray]]) -> bool:
    """Say whether the hand holds nothing: where it was told to let go it must have begun to, since fingers may be late."""
    if not phases or phases[-1] in _HOLDING:
        return False
    if phases[-1] != "release":
        return True
    if phases[-_RELEASE_TICKS:] != ["release"] * _RELEASE_TICKS:
        return False
    before, after = (float(np.ptp(ticks[tick]["gripper"])) for tick in (-_RELEASE_TICKS, -1))
    return after - before > _OPENED


def _felt(environment: Environment) -> dict[str, np.ndarray]:
    return {
        "joints": environment.joints(),
        "gripper": environment.gripper(),
        "ee_pos": environment.data.site("gripper0_grip_site").xpos.copy(),
        "ee_ori": _axis_angle(environment.data.body("robot0_right_hand").xquat),
        "states": environment.state(),
    }


def _stacked(ticks: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([tick[name] for tick in ticks]) for name in ticks[0]}


def _axis_angle(quaternion: np.ndarray) -> np.ndarray:
    """Return axis times angle (3,) [rad] of a quaternion w x y z; not wrapped at pi, where a hand looking down lives."""
    sine = float(np.linalg.norm(quaternion[1:]))
    return quaternion[1:] * (2 * np.arctan2(sine, quaternion[0]) / max(sine, 1e-12))
