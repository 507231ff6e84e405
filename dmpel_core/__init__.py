"""Lifelong learning for robot arms: a frozen backbone, one low-rank expert per task, a router that mixes them at every tick."""

__version__ = "0.1.0"
