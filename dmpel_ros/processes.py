"""Nodes as processes of their own, which never outlive the block that started them."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from domain_coordinator import domain_id

from dmpel_core.errors import DmpelError
from dmpel_ros.locations import config_file

PATIENCE = 5.0
"""How long an interrupted process may take to leave before it is killed [s]."""

SHOWN_LINES = 15
"""Lines of a log that an error message shows."""

PR_SET_PDEATHSIG = 1
"""Number of the Linux call that sends a process a signal when its parent dies, whatever the parent died of."""


class ProcessError(DmpelError):
    """A node's process ended by itself."""


@contextmanager
def private_network() -> Iterator[Mapping[str, str]]:
    """Give this process and its children a ROS 2 network of their own on this machine; yield the environment they need."""
    with domain_id() as domain:
        settings = {
            "ROS_DOMAIN_ID": str(domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "FASTRTPS_DEFAULT_PROFILES_FILE": str(config_file("fastdds_fast.xml")),
            "OMP_NUM_THREADS": "1",
        }
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield {"MUJOCO_GL": "egl", **os.environ}
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Processes:
    """A set of Python modules running as processes, with one log file each. Whoever starts them calls `stop` in the end."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        """Prepare to run with the environment; the logs' folder is made if missing."""
        logs.mkdir(parents=True, exist_ok=True)
        self._logs, self._environment = logs, dict(environment)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def log(self, name: str) -> Path:
        """Return the file that holds what the process wrote."""
        return self._logs / f"{name}.log"

    def start(self, name: str, module: str, arguments: Sequence[str] = ()) -> None:
        """Run `python -m module arguments` under a name."""
        with self.log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C at the terminal reaches the parent alone, which then ends them in order
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, which takes no lock that a thread could hold
            )

    def check(self) -> None:
        """Make sure that all are running.

        Raises:
            ProcessError: One has ended; the message shows the end of its log.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                lines = self.log(name).read_text(errors="replace").splitlines()[-SHOWN_LINES:]
                raise ProcessError(
                    f"the process '{name}' ended with status {process.returncode}; the end of {self.log(name)}:\n" + "\n".join(lines)
                )

    def stop(self) -> dict[str, int]:
        """Interrupt all, kill who does not leave, and return their exit statuses."""
        for process in self._running.values():
            process.send_signal(signal.SIGINT)
        statuses = {name: _wait_or_kill(process) for name, process in self._running.items()}
        self._running.clear()
        return statuses


def _wait_or_kill(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
