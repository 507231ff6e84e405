"""The three quality-of-service profiles of the project, by the kind of data they carry.

Subscriptions to sensors ask for nothing that a driver might not offer: a best-effort reader matches reliable and
best-effort writers alike, and no deadline is requested, because a reader with a deadline gets nothing from a writer
that offers none.
"""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _keep_one(reliability: ReliabilityPolicy, durability: DurabilityPolicy) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=reliability, durability=durability)


SENSOR = _keep_one(ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
"""Cameras, joint states: only the newest counts, and a lost one is replaced by the next."""

COMMAND = _keep_one(ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
"""Actions and per-tick reports: none may be lost, an old one must never queue behind a new one."""

LATCHED = _keep_one(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
"""State that a late joiner must learn: the instruction, the library in use, the episode's outcome."""
