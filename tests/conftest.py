"""What every test shares: a quiet environment, and the package as colcon installs it."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Before the first import of ROS, MuJoCo or torch: they read these once.
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)


def build_with_colcon(folder: Path, *options: str) -> Path:
    """Build this tree in `folder`, leaving the tree itself as it is, and return the prefix of the package `dmpel_ros`."""
    places = ["--base-paths", str(ROOT), "--build-base", str(folder / "build"), "--install-base", str(folder / "install")]
    colcon = Path(sysconfig.get_path("scripts")) / "colcon"
    command = [str(colcon), "--log-base", str(folder / "log"), "build", *places, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "install" / "dmpel_ros"


@pytest.fixture(scope="session")
def colcon_install(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the prefix that `colcon build` made of this tree: put it in front of AMENT_PREFIX_PATH to use it."""
    return build_with_colcon(tmp_path_factory.mktemp("colcon"))
