"""The command line where its output is cut off."""

import os
import subprocess
import sys

import pytest

from dmpel_core.cli import CUT_OFF, main
from dmpel_core.experts import show
from dmpel_core.experts.library import Library


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_output_that_nobody_reads_ends_the_command_quietly(library: Library, more: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "dmpel_core.cli", "show", str(library.path), *more]
    try:
        ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (CUT_OFF, "")


def test_another_broken_pipe_is_not_hidden(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Library:
        raise BrokenPipeError("a worker is gone")

    monkeypatch.setattr(show, "read_library", broken)
    with pytest.raises(BrokenPipeError, match="a worker is gone"):
        main(["show", str(library.path)])
