"""Tests of skills with names: labels, alarm, gate, heads, pretraining."""
