"""What the policy node needs on a robot: neither torch nor a simulator."""

import subprocess
import sys
from pathlib import Path

from tests.core.conftest import TINY
from tests.core.engines import make_exported

HEAVY = ("torch", "transformers", "sentence_transformers", "onnx", "mujoco", "robosuite", "libero", "h5py")

SCRIPT = f"""
import sys
from pathlib import Path
import numpy as np
from dmpel_core.observation import Observation
from dmpel_ros.engines import load_library
wanted = dict(threads=1, engine="auto", provider="cpu", route_every=0, route_after=True, tolerance=0.0, int8="")
wanted |= dict(hysteresis=0.0, most_change=0.0, precision="fp32", alarm="report")
engine = load_library(Path(sys.argv[1]), None, wanted)
engine.set_instruction("open the drawer")
action = engine.tick(Observation(*np.zeros((2, 32, 32, 3), np.uint8), np.zeros(7), np.zeros(2))).action
engine.catch_up()
assert action.shape == (7,) and type(engine).__name__ == "OnnxEngine"
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_from_start_to_action_without_torch_or_a_simulator(tmp_path: Path) -> None:
    library = make_exported(tmp_path / "library", TINY, 2)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(library.path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
