"""Commands an arm in a policy's place, over the topics that the arm's controllers read."""

import numpy as np
from geometry_msgs.msg import TwistStamped
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from dmpel_ros import messages, qos

FRAME = "panda_link0"


class Demonstrator:
    """Whoever shows how to do it: there only as long as a demonstration lasts, because an arm follows one commander at a time."""

    def __init__(self, node: Node, arm: str, gripper: str) -> None:
        """Publish twists on the topic `arm` and gripper commands on the topic `gripper`."""
        self._node = node
        self._gripper = node.create_publisher(Float64MultiArray, gripper, qos.COMMAND)
        self._arm = node.create_publisher(TwistStamped, arm, qos.COMMAND)

    def is_heard(self) -> bool:
        """Return whether everybody who listens is connected: a command sent before that would be lost for some of them."""
        return all(
            publisher.get_subscription_count() >= self._node.count_subscribers(publisher.topic_name)
            for publisher in (self._gripper, self._arm)
        )

    def command(self, action: np.ndarray, stamp: int) -> None:
        """Send an action, (7,), for the observation of a time [ns]; the gripper first, as the policy does."""
        self._gripper.publish(Float64MultiArray(data=[float(action[6])]))
        self._arm.publish(messages.to_twist(action[:6], stamp, FRAME))

    def close(self) -> None:
        """Leave the topics."""
        self._node.destroy_publisher(self._gripper)
        self._node.destroy_publisher(self._arm)
