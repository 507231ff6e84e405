"""One private ROS 2 network per test session."""

import os

# Read once, when the message classes are imported: without it a misspelled field passes silently.
os.environ.setdefault("ROS_PYTHON_CHECK_FIELDS", "1")

from collections.abc import Iterator

import pytest
import rclpy
from domain_coordinator import domain_id
from rclpy.context import Context


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
