"""The four quality-of-service profiles of the project, by the kind of data they carry.

Subscriptions to sensors ask for nothing that a driver might not offer: a best-effort reader matches reliable and
best-effort writers alike, and no deadline is requested, because a reader with a deadline gets nothing from a writer
that offers none.
"""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _keep(depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)


SENSOR = _keep(1, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
"""Cameras, joint states: only the newest counts, and a lost one is replaced by the next."""

COMMAND = _keep(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
"""Actions: none may be lost, an old one must never queue behind a new one."""

REPORT = _keep(50, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
"""What a tick reports about itself: every one counts, and a reader may be a second behind."""

LATCHED = _keep(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
"""State that a late joiner must learn: the instruction, the library in use, the episode's outcome."""
