"""Where the time of one tick goes, by the stages that an engine computes it in."""

from time import perf_counter

STAGES = ("image", "text", "router", "mixing", "temporal")
"""In this order; proprioception and fusion count for `temporal`, and a stage that a tick left out took no time."""


class Stopwatch:
    """One hand per stage."""

    def __init__(self) -> None:
        """Begin at once."""
        self.begin()

    def begin(self) -> None:
        """Set all hands to zero."""
        self._spent = dict.fromkeys(STAGES, 0.0)
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        """Count the time since the last call, of this or of `begin`, for a stage."""
        now = perf_counter()
        self._spent[stage] += now - self._last
        self._last = now

    def times(self) -> dict[str, float]:
        """Return the seconds that each stage took since `begin`."""
        return dict(self._spent)
