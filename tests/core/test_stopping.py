"""However a command ends, its workers end too. They hold a pipe open, which is at its end when none is left."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT

COMMAND = """
import signal, sys
from types import SimpleNamespace
from dmpel_core import cli
from tests.core import patient
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
cli.commands = lambda: {"wait": SimpleNamespace(load=lambda: patient)}
sys.exit(cli.main(["wait", *sys.argv[1:]]))
"""
PATIENCE = 120.0  # [s]; only a fault takes as long


class Running:
    """A command, and the reading end of the pipe that its workers hold open."""

    def __init__(self, process: subprocess.Popen[str], pipe: int) -> None:
        self.process, self._pipe = process, pipe

    def workers(self) -> list[int]:
        """Wait until two workers have said who they are."""
        said = b""
        while said.count(b"\n") < 2:
            said += (heard := self._read())
            assert heard, "the workers ended before they were told to"
        return [int(line) for line in said.splitlines()]

    def _read(self) -> bytes:
        assert select.select([self._pipe], [], [], PATIENCE)[0]
        return os.read(self._pipe, 4096)

    def end(self) -> tuple[int, str, str]:
        """Wait until the command and all workers have ended; return its exit status and what it wrote."""
        written = self.process.communicate(timeout=PATIENCE)
        assert self._read() == b""
        return self.process.returncode, *written


@contextmanager
def running(folder: Path, how: str, *options: str) -> Iterator[Running]:
    """Run the command in a process group of its own, as a shell does."""
    os.mkfifo(folder / "pipe")
    pipe = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    command = [sys.executable, "-c", COMMAND, how, str(folder / "pipe"), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield Running(process, pipe)
        finally:
            os.close(pipe)
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
    ids=["interrupted", "terminated"],
)
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["alone", "with-its-workers"])
def test_a_stopped_command_takes_its_workers_with_it(tmp_path: Path, send: object, number: int, status: int, words: str) -> None:
    with running(tmp_path, "map") as command:
        assert len({command.process.pid, *command.workers()}) == 3
        send(command.process.pid, number)
        assert command.end() == (status, "", f"\ndmpel wait: {words}\n")


@pytest.mark.parametrize("how", ["map", "side-by-side"])
def test_a_killed_command_takes_its_workers_with_it(tmp_path: Path, how: str) -> None:
    with running(tmp_path, how) as command:
        command.workers()
        command.process.kill()
        assert command.end()[0] == -signal.SIGKILL


def test_a_lost_worker_ends_the_command_and_the_others_with_an_explanation(tmp_path: Path) -> None:
    with running(tmp_path, "side-by-side") as command:
        os.kill(command.workers()[0], signal.SIGKILL)
        said = "dmpel wait: a worker process was ended from outside: start again, with fewer --processes if memory was short\n"
        assert command.end() == (2, "", said)


def test_a_terminated_command_takes_the_cluster_that_it_started_with_it(tmp_path: Path) -> None:
    with running(tmp_path, "map", "--engine", "ray") as command:
        command.workers()
        command.process.terminate()
        assert command.end()[0] == 143
