"""Measurements that a reader can run; no test depends on what they measure."""
