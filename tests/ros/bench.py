"""A fake robot and a real policy process on a network of their own."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import rclpy
from rclpy.context import Context

from dmpel_ros.background import spinning
from dmpel_ros.processes import private_network
from tests.conftest import ROOT
from tests.ros.fake_robot import PATIENCE, FakeRobot
from tests.ros.fakes import SIZE


class Bench:
    """A robot, and a policy process that can be started anew."""

    def __init__(self, folder: Path, library: Path, environment: dict[str, str], module: str) -> None:
        self.library, self._module = library, module
        self._folder, self._environment = folder, environment
        self.robot: FakeRobot
        self.process: subprocess.Popen[bytes]

    def start(self, **parameters: Any) -> None:
        """Start the policy; limits are open so that a tick moves the arm, checks are as strict as by default."""
        given = {
            "library": self.library, "image_size": SIZE, "allow_loading": True, "max_picture_age": 0.5, "max_joints_age": 0.5,
            "max_compute": 0.25, "max_faults": 0, "ramp": 0.0, "box_low": "[-9.0,-9.0,-9.0]", "box_high": "[9.0,9.0,9.0]",
        }  # fmt: skip
        arguments = [part for name, value in (given | parameters).items() for part in ("-p", f"{name}:={value}")]
        with (self._folder / "policy.log").open("ab") as log:
            command = [sys.executable, "-m", self._module, "--ros-args", *arguments]
            self.process = subprocess.Popen(command, env=self._environment, cwd=ROOT, stdout=log, stderr=log)
        # Its first status, not its services: those of a node that was killed seem to be there for a while.
        self.robot.wait(lambda: self.robot.state == "unconfigured", "the policy has not started")
        assert self.robot._change.wait_for_service(PATIENCE)

    def bring_up(self) -> None:
        assert self.robot.change("configure")
        self.robot.frames_pass(2)
        self.robot.wait(lambda: self.robot.change("activate"), "the policy cannot be activated")

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.robot.status = type(self.robot.status)()


@contextmanager
def on_bench(folder: Path, library: Path, module: str = "tests.ros.scripted_policy", **parameters: Any) -> Iterator[Bench]:
    """Give a robot whose arm moves by a library; logs go to the folder, parameters to the policy, which is a module's."""
    with ExitStack() as stack:
        environment = stack.enter_context(private_network())
        made = Bench(folder, library, dict(environment), module)
        context = Context()
        rclpy.init(context=context, domain_id=int(environment["ROS_DOMAIN_ID"]))
        stack.callback(context.try_shutdown)
        made.robot = FakeRobot(context=context)
        stack.callback(made.robot.destroy_node)
        stack.enter_context(spinning(made.robot))
        made.start(**parameters)
        stack.callback(made.end)
        made.bring_up()
        yield made
