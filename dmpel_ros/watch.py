"""Tells what an engine knows of a tick beside its action: whether the scene is familiar, and what the policy is about.

`~/alarm` says, latched and on every change, whether task and scene are known; `~/skill` says every tick, for libraries with heads,
skill, phase, progress and the ticks to the next gripper event, with probabilities. Called from the control thread; `reset` from any.
"""

import threading

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from dmpel_core.errors import DmpelError
from dmpel_core.skills.alarm import Debounce, Reading
from dmpel_core.skills.heads import Told
from dmpel_core.skills.insight import Insight
from dmpel_core.skills.vocabulary import PHASES, SKILLS
from dmpel_ros import messages, qos

MODES = ("off", "report", "hold")
FIELDS = ("progress", "ticks_to_gripper_event")


class Watch:
    """The publishers of one node and the debounced alarm."""

    def __init__(self, node: Node, ticks: int, mode: str) -> None:
        """Advertise.

        Args:
            node: Whose reports these are.
            ticks: Strange ticks in a row that raise the alarm.
            mode: One of `MODES`.

        Raises:
            DmpelError: It is none of them.
        """
        if mode not in MODES:
            raise DmpelError(f"parameter 'alarm' is {mode!r}; choose one of {', '.join(MODES)}")
        self._holds, self._debounce, self._told = mode == "hold", Debounce(ticks), False
        self._forget = threading.Event()
        self._alarm = node.create_publisher(DiagnosticStatus, "~/alarm", qos.LATCHED)
        self._skill = node.create_publisher(Float64MultiArray, "~/skill", qos.REPORT)

    def reset(self) -> None:
        """Begin again without an alarm before the next tick."""
        self._forget.set()

    def tick(self, insight: Insight | None) -> str | None:
        """Tell one tick; return why the arm shall stop, where the alarm was raised by it and is to hold."""
        if self._forget.is_set():
            self._forget.clear()
            self._debounce.reset()
        if insight is None:
            return None
        if insight.told is not None:
            self._skill.publish(messages.to_record(*_record(insight.told)))
        return None if insight.reading is None else self._judge(insight.reading)

    def _judge(self, reading: Reading) -> str | None:
        before = self._debounce.raised
        raised = self._debounce(reading.strangeness > 1)
        if raised != self._told:
            self._told = raised
            self._alarm.publish(_status(raised, reading))
        return f"{_sentence(reading)}; call ~/clear to go on all the same" if raised and not before and self._holds else None


def _sentence(reading: Reading) -> str:
    what = "task" if reading.instruction > reading.scene else "scene"
    return f"unknown {what}: {reading.strangeness:.1f} times the limit, the nearest known task is {reading.task!r}"


def _status(raised: bool, reading: Reading) -> DiagnosticStatus:
    values = {"task": reading.task, "instruction": f"{reading.instruction:.3f}", "scene": f"{reading.scene:.3f}"}
    level, message = (DiagnosticStatus.WARN, _sentence(reading)) if raised else (DiagnosticStatus.OK, "familiar")
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticStatus(level=level, name="policy: alarm", message=message, hardware_id="dmpel", values=pairs)


def _record(told: Told) -> tuple[list[float], list[str]]:
    """Return the numbers and their names: every skill's and phase's probability, then `FIELDS`."""
    names = [*(f"skill {name}" for name in SKILLS[: len(told.skills)]), *(f"phase {name}" for name in PHASES[: len(told.phases)]), *FIELDS]
    return [*map(float, told.skills), *map(float, told.phases), told.progress, told.event], names
