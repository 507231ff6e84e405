"""What the policy node tells about itself: every tick, on every change, and once a second.

Owns the publishers and the counters; decides nothing. `tick` and `status` are called from the control thread, the rest
from the executor's.
"""

import json
import math
import time
from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from std_msgs.msg import Float32MultiArray, Float64MultiArray, String

from dmpel_core.inference.stages import STAGES
from dmpel_ros import messages, qos
from dmpel_ros.outcome import Acted
from dmpel_ros.routing import to_routing
from dmpel_ros.statistics import TickStatistics
from dmpel_ros.trace import Trace

TIMING_FIELDS = (
    *("stamp_s", "compute_ms", "observation_age_ms", "overrun", "generation", "interval_ms", "target_ms"),
    *("inputs_ms", *(f"{stage}_ms" for stage in STAGES)),
)


class Telemetry:
    """The reports of one node."""

    def __init__(self, node: Node, period: float, simulated: bool) -> None:
        """Advertise; a tick that computes longer than `period` [s] is an overrun. In simulated time intervals are those of its stamps."""
        self._node, self._period, self._simulated = node, period, simulated
        self.statistics = TickStatistics()
        self._routing = node.create_publisher(Float32MultiArray, "~/routing", qos.REPORT)
        self._timing = node.create_publisher(Float64MultiArray, "~/timing", qos.REPORT)
        self._trace = node.create_publisher(String, "~/tick", qos.REPORT)
        self._library = node.create_publisher(DiagnosticStatus, "~/library", qos.LATCHED)
        self._status = node.create_publisher(DiagnosticStatus, "~/status", qos.LATCHED)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", qos.REPORT)

    def tick(self, acted: Acted, experts: Sequence[str]) -> None:
        """Tell one tick's timing and routing."""
        tick, now = acted.tick, time.perf_counter()
        compute, stamp = now - acted.began, acted.stamp / 1e9
        overrun = compute > self._period
        interval = self.statistics.acted(stamp if self._simulated else now, 1e3 * compute, 1e3 * acted.age, overrun, acted.limited)
        stages = (1e3 * tick.stages.get(stage, math.nan) for stage in STAGES)
        record = (stamp, 1e3 * compute, 1e3 * acted.age, float(overrun), float(tick.generation), interval, 1e3 * self._period)
        self._timing.publish(messages.to_record((*record, 1e3 * acted.prepared, *stages), TIMING_FIELDS))
        if tick.coefficients.shape[1] == len(experts):  # not so for the one tick during which a load changes the names
            self._routing.publish(to_routing(tick.coefficients, tuple(experts), tick.generation))

    def trace(self, trace: Trace) -> None:
        """Tell what the engine computed from what, for recordings."""
        self._trace.publish(String(data=trace.to_json()))

    def library(self, generation: int, experts: Sequence[str], instruction: str) -> None:
        """Tell, latched, which library and instruction are in use."""
        values = {"generation": str(generation), "experts": json.dumps(list(experts)), "instruction": instruction}
        text = f"generation {generation} with {len(experts)} experts"
        self._library.publish(_status(DiagnosticStatus.OK, "policy: library", text, values))

    def status(self, level: bytes, message: str, values: dict[str, str]) -> None:
        """Tell, latched, what the node is doing now."""
        self._status.publish(_status(level, "policy: status", message, values))

    def diagnostics(self, level: bytes, message: str, values: dict[str, str]) -> None:
        """Tell the same with the counters."""
        report = DiagnosticArray(status=[_status(level, "policy: control loop", message, values | self.statistics.values())])
        report.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(report)


def _status(level: bytes, name: str, message: str, values: dict[str, str]) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id="dmpel", values=pairs)
