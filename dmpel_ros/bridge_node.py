"""The simulated arm: a task of LIBERO or robosuite in MuJoCo behind the topics that a real arm's cameras, driver and controllers offer.

Simulated time stands still between steps. The bridge publishes what is seen at time t, then waits for the action that
is stamped t, so a policy that answers within the tick acts on exactly the state that it saw, however slow the machine.
Where no action comes in time the arm holds its pose, and the miss is counted. Between episodes nothing is stepped. For
demonstrations the scripted expert commands the arm, over the same topics as a policy or a person would.

The main thread steps and renders, because an OpenGL context belongs to one thread; the executor's thread only stores
messages.
"""

import sys
import threading
import time
from contextlib import closing

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import TwistStamped
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

from dmpel_core.errors import DmpelError
from dmpel_core.observation import Observation
from dmpel_ros import messages, qos
from dmpel_ros.background import Answer, run_node, until_shutdown
from dmpel_ros.demonstrator import Demonstrator
from dmpel_ros.episode import Episode, Settings, Stage, task_arenas
from dmpel_ros.parameters import Parameter, declare, read
from dmpel_ros.statistics import percentiles

PARAMETERS = (
    Parameter("suite", "libero_goal", "Suite of the next episode: one of LIBERO's, or `robosuite`."),
    Parameter("task", 0, "Index of the next episode's task in its suite.", 0, 129),
    Parameter("initial_state", 0, "Index of the stored initial state of the next episode.", 0, 999),
    Parameter("reach", 0.0, "How far objects may be moved away from the stored state [m].", 0.0, 0.2),
    Parameter("seed", 0, "Seed of those placements.", 0, 2**31 - 1),
    Parameter("blank", False, "Whether the next episode's pictures are black: the control for whether a policy looks."),
    Parameter("horizon", 600, "Ticks after which an episode has failed.", 1, 100_000),
    Parameter("real_time_factor", 1.0, "Simulated seconds per second at most; 0.0 runs as fast as the policy answers.", 0.0, 100.0),
    Parameter("action_timeout", 0.25, "How long to wait for the action of a tick before holding the pose [s of wall time].", 0.001, 60.0),
    Parameter("image_size", 128, "Width and height of both pictures [pixels].", 16, 1024, read_only=True),
    Parameter("viewer", False, "Whether a window shows the simulation; needs a display.", read_only=True),
    Parameter("kept_environments", 4, "How many tasks' environments stay built.", 1, 32, read_only=True),
)

PERIOD = messages.SECOND // 20
"""Simulated time per step [ns]: LIBERO's demonstrations and policies act at 20 Hz."""

FIRST_TIME = messages.SECOND
"""Simulated time at the start [ns]; not 0, which clocks take for `no time has come yet`."""

IDLE_PERIOD = 0.2
"""Between episodes the clock and the last observation are published again this often [s], for who joins late."""

JOINTS = (*(f"panda_joint{i}" for i in range(1, 8)), "panda_finger_joint1", "panda_finger_joint2")

FINGER_SIGNS = np.array([1.0, -1.0])
"""The simulated fingers slide along one axis in opposite directions; a Panda's driver publishes two openings."""


class BridgeNode(Node):
    """Offers one simulated arm to one policy."""

    def __init__(self, stage: Stage | None = None, **options: object) -> None:
        """Declare and connect; `stage` replaces the simulator's tasks, `options` go to rclpy's Node.

        Raises:
            DmpelError: The parameter `viewer` asks for a window and there is no display.
        """
        super().__init__("simulation", **options)
        declare(self, PARAMETERS)
        self._stage = stage or Stage(read(self, "image_size"), read(self, "kept_environments"), task_arenas(viewer=read(self, "viewer")))
        self._changed = threading.Condition()
        self._resets: list[Answer] = []
        self._gripper = -1.0
        self._twist: tuple[int, np.ndarray] = (-1, np.zeros(6))
        self._time = FIRST_TIME
        self._deadline = 0.0
        self._began = 0.0
        self._episode: Episode | None = None
        self._seen: Observation | None = None
        self._demonstrator: Demonstrator | None = None
        self._advertise()
        self._subscribe()

    def _advertise(self) -> None:
        self._time_publisher = self.create_publisher(Clock, "/clock", qos.SENSOR)
        self._agentview = self.create_publisher(Image, "/agentview/image_raw", qos.SENSOR)
        self._eye_in_hand = self.create_publisher(Image, "/eye_in_hand/image_raw", qos.SENSOR)
        self._joints = self.create_publisher(JointState, "/joint_states", qos.SENSOR)
        self._outcome = self.create_publisher(DiagnosticStatus, "~/episode", qos.LATCHED)

    def _subscribe(self) -> None:
        # In this order: when both are waiting, the executor takes the gripper first, as the policy sent it.
        self.create_subscription(Float64MultiArray, "/gripper_controller/commands", self._on_gripper, qos.COMMAND)
        self.create_subscription(TwistStamped, "/servo_node/delta_twist_cmds", self._on_twist, qos.COMMAND)
        self.create_service(Trigger, "~/reset", self._on_reset, callback_group=MutuallyExclusiveCallbackGroup())
        self.create_service(Trigger, "~/demonstrate", self._on_demonstrate)

    def _on_gripper(self, message: Float64MultiArray) -> None:
        if len(message.data) == 1:
            self._gripper = message.data[0]

    def _on_twist(self, message: TwistStamped) -> None:
        with self._changed:
            self._twist = messages.to_nanoseconds(message.header.stamp), np.append(messages.from_twist(message), self._gripper)
            self._changed.notify_all()

    async def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        answer = Answer(self)
        with self._changed:
            self._resets.append(answer)
            self._changed.notify_all()
        response.success, response.message = await answer.future
        return response

    def _on_demonstrate(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        episode = self._episode
        response.success, response.message = False, "no episode is running: call ~/reset first"
        if episode is not None:
            episode.demonstrated = True
            response.success, response.message = True, f"the scripted expert commands the arm until the end of episode {episode.number}"
        return response

    def run(self) -> None:
        """Step episodes, or wait for one, until the context is shut down."""
        with closing(self._stage), until_shutdown(self.context):
            while self.context.ok():
                if self._resets:
                    self._begin()
                elif self._episode is None:
                    self._idle()
                else:
                    self._tick(self._episode)

    def _interrupted(self) -> bool:
        return bool(self._resets) or not self.context.ok()

    def _wait(self, timeout: float, also: object = None) -> None:
        """Sleep for `timeout` [s], or until the next episode is asked for, or until the action stamped `also` [ns] is here."""
        with self._changed:
            self._changed.wait_for(lambda: self._interrupted() or self._twist[0] == also, timeout)

    def _begin(self) -> None:
        """Start the episode that the parameters describe and answer whoever asked for it."""
        with self._changed:
            answers, self._resets = self._resets, []
        self._time += PERIOD  # what was published before is older than anything of this episode
        self._end_demonstration()
        try:
            self._episode = self._stage.begin(self._settings())
            self._seen = self._episode.observe()
        except DmpelError as error:
            self._episode = None
            answer = False, str(error)
        else:
            answer = True, str(self._episode.number)
            self._report(self._episode)
        self._began = self._deadline = time.perf_counter()
        for waiting in answers:
            waiting.give(answer)

    def _settings(self) -> Settings:
        return Settings(*(read(self, name) for name in ("suite", "task", "initial_state", "reach", "seed", "blank", "horizon")))

    def _idle(self) -> None:
        self._publish()
        self._wait(IDLE_PERIOD)

    def _tick(self, episode: Episode) -> None:
        """Publish what is seen, wait for the action, step. Deadlines are for publishing: an early action is carried out at once."""
        self._wait(self._deadline - time.perf_counter())
        published = time.perf_counter()
        self._publish()
        if episode.demonstrated:
            self._demonstrate(episode)
        self._wait(read(self, "action_timeout"), self._time)
        if self._interrupted():
            return
        action = self._action()
        if action is not None:
            episode.answers.append(1e3 * (time.perf_counter() - published))
        episode.advance(action)
        self._time += PERIOD
        factor = read(self, "real_time_factor")
        self._deadline = max(self._deadline + PERIOD / 1e9 / factor, published) if factor > 0.0 else published
        self._seen = episode.observe()
        if episode.outcome != "running":
            self._end(episode)

    def _demonstrate(self, episode: Episode) -> None:
        """Command what the expert does now, once everybody who reads commands can hear it."""
        self._demonstrator = self._demonstrator or Demonstrator(self, "/servo_node/delta_twist_cmds", "/gripper_controller/commands")
        if self._demonstrator.is_heard():
            action = episode.ask_expert()
            if action is not None:
                self._demonstrator.command(action, self._time)

    def _end_demonstration(self) -> None:
        if self._demonstrator is not None:
            self._demonstrator.close()
        self._demonstrator = None

    def _action(self) -> np.ndarray | None:
        """Return the action that answers the observation just published, (7,), or None when there is none fit to use."""
        with self._changed:
            stamp, action = self._twist
        return np.clip(action, -1.0, 1.0) if stamp == self._time and np.isfinite(action).all() else None

    def _end(self, episode: Episode) -> None:
        self._episode = None
        self._end_demonstration()
        self._publish()
        self._report(episode)

    def _publish(self) -> None:
        """Publish the time and what is seen at that time."""
        self._time_publisher.publish(Clock(clock=messages.to_stamp(self._time)))
        if self._seen is None:
            return
        positions = np.concatenate([self._seen.joints, self._seen.gripper * FINGER_SIGNS])
        self._joints.publish(messages.to_joint_state(JOINTS, positions, self._time))
        self._agentview.publish(messages.to_image(self._seen.agentview, self._time, "agentview_optical_frame"))
        self._eye_in_hand.publish(messages.to_image(self._seen.eye_in_hand, self._time, "eye_in_hand_optical_frame"))

    def _report(self, episode: Episode) -> None:
        """Tell, latched, how the episode goes."""
        elapsed = time.perf_counter() - self._began
        answers = percentiles(episode.answers)
        values = {name: str(value) for name, value in vars(episode.settings).items()}
        values |= {
            "episode": str(episode.number),
            "instruction": episode.instruction,
            "ticks": str(episode.ticks),
            "missed_actions": str(episode.missed),
        }
        values |= {f"answer_{name}_ms": str(value) for name, value in answers.items()}
        values["real_time_factor"] = f"{episode.ticks * PERIOD / 1e9 / elapsed:.2f}" if episode.ticks else "0.0"
        pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
        self._outcome.publish(
            DiagnosticStatus(
                level=DiagnosticStatus.OK, name="simulation: episode", message=episode.outcome, hardware_id="mujoco", values=pairs
            )
        )


def main(arguments: list[str] | None = None, stage: Stage | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node("simulation_bridge", lambda: BridgeNode(stage), arguments)


if __name__ == "__main__":
    sys.exit(main())
