"""How well a library does: rollouts, intervals, controls."""
