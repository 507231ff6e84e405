"""The same script in several processes that average their gradients over gloo, as `accelerate launch` starts them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

PATIENCE = 500.0
"""How long the processes may take on a busy machine [s]; nothing is asserted about time."""


def run_in_processes(script: str, folder: Path, count: int) -> None:
    """Run a script with a folder as its argument in so many processes, and show what went wrong where one fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"DMPEL_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count), "ACCELERATE_USE_CPU": "true"}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {} for rank in range(count)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], env={**os.environ, **shared, **rank}, stderr=subprocess.PIPE, text=True
        )
        for rank in ranks
    ]
    try:
        for process in processes:
            _, problem = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, problem[-3000:]
    finally:
        for process in processes:
            process.kill()
