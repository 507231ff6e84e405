"""Builds what the policy node has from configuring to cleaning up."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from dmpel_core.errors import DmpelError
from dmpel_core.inference.engine import Engine
from dmpel_core.observation import Observation
from dmpel_ros import messages, qos, robot
from dmpel_ros.catalogue import Catalogue
from dmpel_ros.contract import check
from dmpel_ros.control import Controller
from dmpel_ros.guard import Guard
from dmpel_ros.inbox import Inbox, Inputs
from dmpel_ros.outputs import Gripper, Output, command_type, make_output
from dmpel_ros.parameters import read
from dmpel_ros.preflight import Preflight
from dmpel_ros.senses import Senses
from dmpel_ros.skills import Skills
from dmpel_ros.vigil import Vigil


@dataclass(frozen=True)
class Assembly:
    """The parts of a configured node."""

    engine: Engine
    control: Controller
    senses: Senses
    skills: Skills
    output: Output
    gripper: Gripper
    preflight: Preflight
    connections: "Connections"


class Connections:
    """The subscriptions and publishers that a node has while it is configured.

    Attributes:
        arm: Publishes on the first command topic.
        gripper: Publishes on the second.
    """

    def __init__(self, node: Node, inbox: Inbox, inputs: dict[str, type], commands: dict[str, type]) -> None:
        """Connect: messages of `inputs` go to the inbox, the two `commands` are to be published on; both are types by topic."""
        self._node = node
        self.arm, self.gripper = self._publishers = [node.create_publisher(kind, topic, qos.COMMAND) for topic, kind in commands.items()]
        self._subscriptions = [self._subscribe(inbox, topic, kind) for topic, kind in inputs.items()]

    def _subscribe(self, inbox: Inbox, topic: str, kind: type) -> object:
        def store(message: object) -> None:
            inbox.put(topic, message, messages.to_nanoseconds(message.header.stamp))  # type: ignore[attr-defined]

        return self._node.create_subscription(kind, topic, store, qos.SENSOR)

    def close(self) -> None:
        """Disconnect."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


def assemble(
    node: Node,
    load: Callable[[], Engine],
    catalogue: Catalogue,
    wanted: tuple[Path, int | None],
    inbox: Inbox,
    topics: dict[str, str],
    now: Callable[[], int],
) -> Assembly:
    """Read the library, compare it with the robot's parameters, warm up, and connect last.

    Raises:
        DmpelError: The library is damaged, does not fit the robot, or a parameter makes no sense.
    """
    number, expected = catalogue.observation(*wanted)
    promise = robot.promise(node)
    check(expected, promise)
    senses, chain, settings = robot.senses(node, topics), robot.chain(node), robot.limits(node)
    output = robot.output_settings(node, chain)
    arm, hand = read(node, "command_topic"), read(node, "gripper_topic")
    if arm == hand:
        raise DmpelError(f"'command_topic' and 'gripper_topic' are both {arm}: give each controller its own")
    commands = {arm: command_type(output.output), hand: Float64MultiArray}
    gripper = Gripper(*robot.gripper_commands(node))
    engine = load()
    warm_up(engine, read(node, "image_size"), len(read(node, "arm_joints")), len(read(node, "finger_joints")))
    vigil = Vigil(inbox, robot.max_ages(node, topics), read(node, "frozen_motion"))

    def observe(inputs: Inputs) -> Observation:
        return senses.observation(inputs.messages)

    control = Controller(engine, inbox, vigil, Guard(settings, chain.position), observe, now, robot.patience(node))
    skills = Skills(engine, catalogue, promise, robot.permission(node, wanted[0]), wanted[0], number)
    connections = Connections(node, inbox, {topic: senses.kind(source) for source, topic in topics.items()}, commands)
    return Assembly(
        engine,
        control,
        senses,
        skills,
        make_output(output, connections.arm.publish),
        gripper,
        Preflight(node, senses, inbox, commands, strict=read(node, "strict_preflight")),
        connections,
    )


def warm_up(engine: Engine, size: int, joints: int, fingers: int) -> None:
    """Compute one tick on nothing: what is made at first use is made now, and a policy that cannot compute is found out."""
    black = np.zeros((size, size, 3), np.uint8)
    engine.tick(Observation(black, black, np.zeros(joints), np.zeros(fingers)))
    engine.reset()
