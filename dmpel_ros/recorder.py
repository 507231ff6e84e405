"""The recorder: writes what the policy sees, does and tells into an MCAP file, from its start to its end.

A process of its own, so that nothing that happens to it reaches the policy. It stops before the disk is full; a kill costs
the last moments only. Started with the policy's parameter file, it knows the robot's topics, and the file says what robot
it was. The services ~/begin, ~/keep and ~/discard mark demonstrations.
"""

import shutil
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.serialization import serialize_message
from std_msgs.msg import String
from std_srvs.srv import Trigger

from dmpel_ros import qos
from dmpel_ros.background import run_node
from dmpel_ros.parameters import Parameter, declare, read
from dmpel_ros.recording.bag import BagError, BagWriter
from dmpel_ros.recording.topics import MARK, ROBOT, inputs, recorded, tick_topic

PARAMETERS = (
    Parameter("folder", "recordings", "Folder for the recordings; a file is named by the time at which it began.", read_only=True),
    Parameter("policy", "/policy", "Full name of the policy node.", read_only=True),
    Parameter("min_free", 500, "Space that is left free on the disk [MB]; the recording ends there.", 0, 10_000_000, read_only=True),
)

MEGABYTE = 1_000_000


class RecorderNode(Node):
    """Writes one file."""

    def __init__(self, **options: object) -> None:
        """Begin to record; `options` go to rclpy's Node.

        Raises:
            BagError: The file cannot be made.
        """
        super().__init__("recorder", **options)
        declare(self, (*PARAMETERS, *ROBOT))
        robot = {row.name: _plain(read(self, row.name)) for row in ROBOT}
        self._policy = read(self, "policy")
        topics = recorded(robot, self._policy)
        kinds = {topic: each.kind for topic, each in topics.items()} | {MARK: String}
        self._writing = threading.Lock()
        self._unheard = set(inputs(robot).values())
        self._bag: BagWriter | None = BagWriter(_new_file(Path(read(self, "folder"))), {**robot, "policy": self._policy}, kinds)
        self.path, self.counts = self._bag.path, self._bag.counts
        self._status = self.create_publisher(DiagnosticStatus, "~/status", qos.LATCHED)
        for topic, each in topics.items():
            self.create_subscription(each.kind, topic, self._storing(topic), each.profile, raw=True)
        for mark in ("begin", "keep", "discard"):
            self.create_service(Trigger, f"~/{mark}", self._marking(mark))
        self.create_timer(1.0, self._watch_disk, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._tell(DiagnosticStatus.OK, f"recording into {self.path}")

    def _storing(self, topic: str) -> Callable[[bytes], None]:
        def store(data: bytes) -> None:
            self._write(topic, data)

        return store

    def _write(self, topic: str, data: bytes) -> bool:
        """Append a message; return whether it is in the file."""
        with self._writing:
            if self._bag is None:
                return False
            try:
                self._bag.write(topic, data, time.time_ns())
            except BagError as error:
                self._bag = None
                self._tell(DiagnosticStatus.ERROR, f"recording has stopped: {error}")
            else:
                self._hear(topic)
        return self._bag is not None

    def _hear(self, topic: str) -> None:
        """Say once that every input arrives: what a policy sees before that cannot be computed again."""
        if topic in self._unheard:
            self._unheard.discard(topic)
            if not self._unheard:
                self._tell(DiagnosticStatus.OK, f"both cameras and the joints are being recorded into {self.path}")

    def _marking(self, mark: str) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
        def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            response.success = self._write(MARK, serialize_message(String(data=mark)))
            response.message = f"'{mark}' is in {self.path}" if response.success else "recording has stopped: see ~/status"
            return response

        return answer

    def _watch_disk(self) -> None:
        free, least = shutil.disk_usage(self.path.parent).free // MEGABYTE, read(self, "min_free")
        if free < least and self._bag is not None:
            self._finish()
            self._tell(
                DiagnosticStatus.ERROR,
                f"recording has stopped: {free} MB are free on the disk, 'min_free' is {least}; {self.path} is whole; "
                "make room and start the recorder again",
            )

    def _finish(self) -> None:
        with self._writing:
            bag, self._bag = self._bag, None
            if bag is not None:
                try:
                    bag.close()
                except BagError as error:
                    self._tell(DiagnosticStatus.ERROR, str(error))

    def _tell(self, level: bytes, message: str) -> None:
        if self.context.ok():
            self._status.publish(DiagnosticStatus(level=level, name="recorder: status", message=message, hardware_id="dmpel"))
        (print if level == DiagnosticStatus.OK else self._complain)(f"{self.get_name()}: {message}")

    @staticmethod
    def _complain(message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    def run(self) -> None:
        """Record until the context is shut down, then say what is in the file."""
        ended = threading.Event()
        self.context.on_shutdown(ended.set)
        try:
            while self.context.ok():
                ended.wait(1.0)
        finally:
            self.close()

    def close(self) -> None:
        """End the file and say what is in it."""
        self._finish()
        silent = [topic for topic in self.counts if not self.counts[topic] and topic not in {MARK, "/clock", "/simulation/episode"}]
        print(f"{self.get_name()}: {sum(self.counts.values())} messages in {self.path}, {self.counts[tick_topic(self._policy)]} ticks")
        if silent:
            print(f"{self.get_name()}: nothing came on {', '.join(silent)}", flush=True)


def _plain(value: object) -> object:
    """Return a parameter's value as JSON knows it: rclpy gives arrays for lists."""
    return value if isinstance(value, bool | int | float | str) else list(value)  # type: ignore[call-overload]


def _new_file(folder: Path) -> Path:
    """Return a path that is not taken."""
    began = datetime.now(timezone.utc).strftime("%Y-%m-%d_%H-%M-%S_%f")
    return folder / f"{began}.mcap"


def main(arguments: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node("recorder", RecorderNode, arguments)


if __name__ == "__main__":
    sys.exit(main())
