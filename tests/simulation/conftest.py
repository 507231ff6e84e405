"""Scenes that several tests share: building one takes seconds, a reset milliseconds."""

from collections.abc import Iterator

import pytest

from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.tasks import load_task


@pytest.fixture(scope="session")
def bowl_on_plate() -> Iterator[Environment]:
    """Return LIBERO-Goal's task 8; reset it before use."""
    with Environment(load_task("libero_goal", 8)) as environment:
        yield environment


@pytest.fixture(scope="session")
def bowl_on_box() -> Iterator[Environment]:
    """Return LIBERO-Spatial's task 3, where one bowl stands on a movable box and one on a cabinet; it has no pictures."""
    with Environment(load_task("libero_spatial", 3), render=False) as environment:
        yield environment
