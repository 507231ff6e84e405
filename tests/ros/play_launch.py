"""Runs launch files where launch and launch_ros are not installed: play-launch, a launch-file reader and starter from the package index.

Its wheel was built for another Python and a full ROS 2 installation. What it asks the dynamic linker for is put into a
folder of its own: this interpreter's shared library under the name that the wheel wants, and an empty stand-in for the
one interface package that the ROS 2 wheels lack and that no launch file here uses.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

WANTED_PYTHON = "libpython3.10.so.1.0"

INTERFACES = ("rosidl_typesupport_c", "rosidl_generator_c")
MESSAGES = ("ListNodes_Request", "ListNodes_Response", "LoadNode_Response", "UnloadNode_Response")
SERVICES = ("ListNodes", "LoadNode", "UnloadNode")
PREFIX = "composition_interfaces__srv__"


def _stand_in() -> str:
    """Return C that defines the symbols of composition_interfaces; nothing ever calls them."""
    fails = "".join(f"bool {PREFIX}{name}__init(void *message) {{ (void)message; return false; }}\n" for name in MESSAGES)
    handle = "rosidl_typesupport_c__get_service_type_support_handle__"
    nothing = "".join(f"const void *{handle}{PREFIX}{name}(void) {{ return 0; }}\n" for name in SERVICES)
    return f"#include <stdbool.h>\n{fails}{nothing}"


def _prepare(folder: Path) -> None:
    """Put what the linker misses into the folder."""
    shared = Path(sysconfig.get_config_var("LIBDIR")) / sysconfig.get_config_var("INSTSONAME")
    assert shared.exists(), f"play-launch needs a Python with a shared library; {shared} does not exist"
    (folder / WANTED_PYTHON).symlink_to(shared)
    for interface in INTERFACES:
        target = folder / f"libcomposition_interfaces__{interface}.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(target)], input=_stand_in(), text=True, check=True)


class PlayLaunch:
    """The tool, ready to run on one installation of the package."""

    def __init__(self, folder: Path, installed: Path) -> None:
        """Prepare in an empty folder for the package under the prefix `installed`."""
        _prepare(folder)
        site = Path(sysconfig.get_path("purelib"))
        tool = site / "play_launch"
        self._program = tool / "bin" / "play_launch"
        libraries = [Path(sys.prefix) / "lib", *site.glob("ros_*.libs"), folder, tool / "lib"]
        package = next((installed / "lib").glob("python*/site-packages"))
        self.environment = {
            **os.environ,
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
            "AMENT_PREFIX_PATH": os.pathsep.join(map(str, (installed, tool, sys.prefix))),
            "PYTHONPATH": os.pathsep.join(map(str, (package, site))),
            "NROS_PYTHON": sys.executable,
            "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
            "ROS_DISTRO": "jazzy",
            "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",  # the library path above is complete already
        }

    def command(self, *arguments: str) -> list[str]:
        """Return a command line of the tool."""
        return [str(self._program), *arguments]

    def dump(self, launch_file: str, output: Path, *arguments: str) -> str:
        """Resolve a launch file of the package without starting anything; return the model as text."""
        command = self.command("dump", "launch", "dmpel_ros", launch_file, *arguments, "-o", str(output))
        done = subprocess.run(command, env=self.environment, cwd=output.parent, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return output.read_text()
