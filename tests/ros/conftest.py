"""One private ROS 2 network per test session."""

import os

# Read once, when the message classes are imported: without it a misspelled field passes silently.
os.environ.setdefault("ROS_PYTHON_CHECK_FIELDS", "1")

from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from domain_coordinator import domain_id
from rclpy.context import Context
from std_msgs.msg import String

from tests.ros.fakes import FakeCatalogue, FakeEngine
from tests.ros.policy_in_hand import Make
from tests.ros.recording import RecordingPolicy, for_the_simulation


@pytest.fixture(scope="session")
def domain() -> Iterator[int]:
    """A domain that no other test run on this machine uses."""
    with domain_id() as number:
        yield int(number)


@pytest.fixture(scope="session")
def context(domain: int) -> Iterator[Context]:
    """The context of the nodes that are tested one by one; each test destroys its nodes."""
    made = Context()
    rclpy.init(context=made, domain_id=domain)
    yield made
    made.try_shutdown()


@pytest.fixture
def make(context: Context) -> Iterator[Make]:
    """Make nodes with the simulation's parameters and others above them."""
    made: list[RecordingPolicy] = []

    def build(catalogue: FakeCatalogue | None = None, **values: Any) -> RecordingPolicy:
        given = for_the_simulation(max_picture_age=5.0, max_joints_age=5.0, **values)
        made.append(RecordingPolicy(FakeEngine, catalogue or FakeCatalogue(), context=context, parameter_overrides=given))
        return made[-1]

    yield build
    for node in made:
        node.destroy_node()


@pytest.fixture
def node(make: Make) -> RecordingPolicy:
    """A node that acts on what it is given."""
    made = make()
    made._on_instruction(String(data="put it there"))
    return made
