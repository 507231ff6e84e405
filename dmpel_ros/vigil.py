"""Whether the inputs are fit to act on: there, recent, of one moment, and not frozen.

Each check looks at every source and names the ones at fault. Nothing here knows ROS types; called from the control
thread only.
"""

from collections.abc import Mapping

import numpy as np

from dmpel_core.observation import Observation
from dmpel_ros.inbox import Entry, Inbox, Inputs
from dmpel_ros.outcome import Held


class Vigil:
    """Watches one inbox."""

    def __init__(self, inbox: Inbox, max_ages: Mapping[str, float], frozen_motion: float) -> None:
        """Watch for what is too old or does not change.

        Args:
            inbox: Where the inputs arrive.
            max_ages: Oldest message of each input that may be acted on [s].
            frozen_motion: How far a joint may move while a picture stays the same [rad]; 0.0 for any distance.
        """
        self._inbox, self._max_ages, self._frozen_motion = inbox, max_ages, frozen_motion
        self._changed: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def inputs(self, now: int) -> tuple[Inputs, float] | Held:
        """Return the newest set of inputs with its age [s], or why there is none; `now` is the time on the stamps' clock [ns]."""
        entries = self._inbox.entries()
        missing = [name for name in self._inbox.names if name not in entries]
        if missing:
            return Held("input", f"nothing has come on {', '.join(missing)}")
        ages = {name: self._age(name, entry, now) for name, entry in entries.items()}
        inputs = self._inbox.together(entries)
        return _too_far_in_time(ages, self._max_ages) or ((inputs, max(ages.values())) if inputs else _skewed(entries))

    def _age(self, name: str, entry: Entry, now: int) -> float:
        """Return the age [s]: on the stamps' clock, or since arrival where that is longer (a paused simulated clock hides delays)."""
        by_stamp = (now - entry.stamp) / 1e9
        return max(by_stamp, self._inbox.arrival() - entry.received) if by_stamp > -self._max_ages[name] else by_stamp

    def frozen(self, observation: Observation) -> Held | None:
        """Return which pictures have stayed the same while the arm moved: a camera that hangs may go on sending its last one."""
        if self._frozen_motion == 0.0:
            return None
        frozen = [camera for camera in ("agentview", "eye_in_hand") if self._is_frozen(camera, observation)]
        return Held(
            "frozen",
            f"the picture of {' and '.join(frozen)} has not changed while the arm moved by more than {self._frozen_motion} rad: "
            "start the camera's driver again",
        ) if frozen else None  # fmt: skip

    def _is_frozen(self, camera: str, observation: Observation) -> bool:
        picture = getattr(observation, camera)
        last, joints = self._changed.get(camera, (None, None))
        if last is None or joints is None or not np.array_equal(last, picture):
            self._changed[camera] = picture, observation.joints
            return False
        return bool(np.abs(observation.joints - joints).max() > self._frozen_motion)

    def forget(self) -> None:
        """Forget the pictures seen."""
        self._changed.clear()


def _too_far_in_time(ages: Mapping[str, float], limits: Mapping[str, float]) -> Held | None:
    late = {name: age for name, age in ages.items() if age > limits[name]}
    stale = [f"{name} is {1e3 * age:.0f} ms old, {1e3 * limits[name]:.0f} ms are allowed" for name, age in late.items()]
    if stale:
        return Held("stale", f"{'; '.join(stale)}: see that the driver runs")
    future = [f"{name} is stamped {-1e3 * age:.0f} ms ahead of the clock" for name, age in ages.items() if age < -limits[name]]
    if future:
        return Held("future", f"{'; '.join(future)}: synchronise the clocks or set use_sim_time alike everywhere")
    return None


def _skewed(entries: Mapping[str, Entry]) -> Held:
    newest = max(entry.stamp for entry in entries.values())
    behind = ", ".join(f"{name} {(newest - entry.stamp) / 1e6:.0f} ms" for name, entry in entries.items() if entry.stamp < newest)
    return Held("skew", f"the inputs' stamps are too far apart to be one observation; behind the newest: {behind}")
