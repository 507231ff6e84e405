"""The launch files: what they resolve to, and that they really start the nodes."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import rclpy
import yaml
from rclpy.context import Context

from dmpel_core.policy.sizes import PolicySizes
from dmpel_ros import bridge_node, policy_parameters
from dmpel_ros.background import spinning
from dmpel_ros.evaluator import Evaluator
from dmpel_ros.locations import config_file
from dmpel_ros.processes import private_network
from tests.ros.play_launch import PlayLaunch
from tests.ros.random_library import make_random_library

Resolve = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def tool(colcon_install: Path, tmp_path_factory: pytest.TempPathFactory) -> PlayLaunch:
    return PlayLaunch(tmp_path_factory.mktemp("play_launch"), colcon_install)


@pytest.fixture
def resolve(tool: PlayLaunch, tmp_path: Path) -> Resolve:
    """Resolve a launch file to its nodes by name."""

    def run(launch_file: str, *arguments: str) -> dict[str, dict[str, Any]]:
        model = tool.dump(launch_file, tmp_path / "model.yaml", *arguments)
        assert "$(" not in model  # an argument that nobody declared would be left standing
        return yaml.safe_load(model)["structure"]["nodes"]

    return run


def parameters_of(node: dict[str, Any]) -> dict[str, Any]:
    """Return what the node gets: its file, and above it its single parameters."""
    merged: dict[str, Any] = {}
    for text in node["params_files"]:
        merged |= yaml.safe_load(text)["/**"]["ros__parameters"]
    return merged | node.get("params", {})


def shipped(name: str) -> dict[str, Any]:
    return yaml.safe_load(config_file(name).read_text())["/**"]["ros__parameters"]


def test_both_files_resolve_to_the_same_policy(resolve: Resolve) -> None:
    alone, together = resolve("policy.launch.py"), resolve("simulation.launch.py")
    assert set(alone) == {"/policy"}
    assert set(together) == {"/policy", "/simulation"}
    expected = shipped("policy.yaml")
    assert parameters_of(alone["/policy"]) == expected | {"use_sim_time": False}
    assert parameters_of(together["/policy"]) == expected | {"use_sim_time": True}
    assert parameters_of(together["/simulation"]) == shipped("simulation.yaml") | {"viewer": False}
    assert parameters_of(resolve("simulation.launch.py", "viewer:=true")["/simulation"])["viewer"] is True


def test_the_library_is_an_argument_of_both(resolve: Resolve) -> None:
    for launch_file in ("policy.launch.py", "simulation.launch.py"):
        assert parameters_of(resolve(launch_file, "library:=/somewhere/else")["/policy"])["library"] == "/somewhere/else"


def test_every_executable_exists(resolve: Resolve) -> None:
    scripts = {point.name for point in entry_points(group="console_scripts")}
    for node in resolve("simulation.launch.py").values():
        assert node["pkg"] == "dmpel_ros"
        assert node["exec"] in scripts


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("policy.yaml", policy_parameters.PARAMETERS),
        ("forward_position.yaml", policy_parameters.PARAMETERS),
        ("joint_trajectory.yaml", policy_parameters.PARAMETERS),
        ("servo.yaml", policy_parameters.PARAMETERS),
        ("simulation.yaml", bridge_node.PARAMETERS),
    ],
)
def test_parameter_files_hold_declared_parameters_of_the_right_type(name: str, table: Any) -> None:
    declared = {row.name: type(row.default) for row in table}
    found = {key: type(value) for key, value in shipped(name).items()}
    assert found == {key: declared.get(key) for key in found}


@pytest.fixture
def launched(tool: PlayLaunch, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Evaluator]]:
    """The simulation's launch file running with a library that knows nothing, and an evaluator beside it."""
    make_random_library(tmp_path / "library", PolicySizes(temporal_blocks=1), ("open the drawer",))
    with ExitStack() as stack:
        private = stack.enter_context(private_network())
        environment = {**private, **tool.environment, "ROS_DOMAIN_ID": private["ROS_DOMAIN_ID"], "ROS_LOG_DIR": str(tmp_path)}
        command = tool.command("launch", "dmpel_ros", "simulation.launch.py", f"library:={tmp_path / 'library'}", "--disable-all")
        with (tmp_path / "launch.log").open("w") as log:
            running = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT, text=True)
        stack.callback(running.wait, 20)
        stack.callback(running.send_signal, signal.SIGINT)
        context = Context()
        rclpy.init(context=context, domain_id=int(private["ROS_DOMAIN_ID"]))
        stack.callback(context.try_shutdown)
        evaluator = Evaluator(context=context)
        stack.callback(evaluator.destroy_node)
        stack.enter_context(spinning(evaluator))
        yield running, evaluator


def test_the_simulation_really_starts_and_stops(launched: tuple[subprocess.Popen[str], Evaluator]) -> None:
    running, evaluator = launched
    evaluator.wait_for_nodes()
    assert evaluator.experts == ("open the drawer",)
    asked = evaluator._setters["policy"].get_parameters(["use_sim_time", "image_size"])
    used = evaluator._result(asked, 20.0, "the policy has not told its parameters").values
    assert (used[0].bool_value, used[1].integer_value) == (True, 128)
    running.send_signal(signal.SIGINT)
    assert running.wait(30) == 0
    evaluator._wait(lambda: evaluator.get_node_names() == ["evaluator"], 20.0, "the launched nodes have not left")
