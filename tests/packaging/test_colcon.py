"""`colcon build` in a ROS 2 workspace: ROS must find the package, its files and its executables."""

import os
import subprocess
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_share_directory

from dmpel_core import __version__
from tests.conftest import ROOT, build_with_colcon

SHARED = ["package.xml", *(path.relative_to(ROOT).as_posix() for folder in ("launch", "config") for path in (ROOT / folder).glob("*.*"))]
EXECUTABLES = ("dmpel", "policy_node", "simulation_bridge", "recorder")


@pytest.fixture(scope="session")
def colcon_links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the prefix that `colcon build --symlink-install` made of this tree."""
    return build_with_colcon(tmp_path_factory.mktemp("colcon_links"), "--symlink-install")


@pytest.fixture(params=["colcon_install", "colcon_links"])
def prefix(request: pytest.FixtureRequest) -> Path:
    """Return the prefix of either kind of build."""
    return request.getfixturevalue(request.param)


def test_the_list_of_shared_files_is_not_empty() -> None:
    assert {"package.xml", "launch/policy.launch.py", "launch/simulation.launch.py", "config/policy.yaml"} <= set(SHARED)


def test_ros_finds_the_shared_files(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))
    share = Path(get_package_share_directory("dmpel_ros"))
    assert share == prefix / "share/dmpel_ros"
    assert {name: (share / name).read_bytes() for name in SHARED} == {name: (ROOT / name).read_bytes() for name in SHARED}


def test_executables_are_where_ros_looks(prefix: Path) -> None:
    assert [name for name in EXECUTABLES if not os.access(prefix / "lib/dmpel_ros" / name, os.X_OK)] == []


def test_an_executable_runs_the_built_code(colcon_install: Path) -> None:
    site = next((colcon_install / "lib").glob("python*/site-packages"))
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [str(colcon_install / "lib/dmpel_ros/dmpel"), "--version"]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout == f"dmpel {__version__}\n"
    where = [str(colcon_install / "lib/dmpel_ros/dmpel"), "show", "nowhere"]
    assert "nowhere is not a library" in subprocess.run(where, env=environment, cwd="/", capture_output=True, text=True, check=False).stderr
