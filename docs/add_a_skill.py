"""Teach a running arm a skill: show it three times, learn, load, try. The policy that runs is not started anew.

    cp -r models/libero_goal my_library
    dmpel show my_library --select 4            # the generation that knows four tasks, and not the stove
    python docs/add_a_skill.py my_library --output runs/add_a_skill

starts a simulated arm and the policy, records demonstrations of the scripted expert over the arm's topics, and adds an expert to
`my_library`. Options that it does not know go to `dmpel learn`, such as `--steps 400`. The comments give the commands that do the same on
a robot.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from dmpel_core.simulation.tasks import load_task
from dmpel_core.stopping import stoppable
from dmpel_ros.evaluator import Evaluator, Trial
from dmpel_ros.session import Setup, recording, session


def parse() -> tuple[argparse.Namespace, list[str]]:
    """Return the script's own options and those for `dmpel learn`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path, help="folder of the library that gets the new skill")
    parser.add_argument("--output", type=Path, default=Path("runs/add_a_skill"), help="folder for recordings and logs")
    parser.add_argument("--suite", default="libero_goal", help="suite of the task")
    parser.add_argument("--task", type=int, default=7, help="index of the task in its suite; 7 is to turn on the stove")
    parser.add_argument("--demonstrations", type=int, default=3, help="how many times it is shown")
    parser.add_argument("--horizon", type=int, default=250, help="ticks after which the attempt with the new skill has failed")
    parser.add_argument("--real-time-factor", type=float, default=1.0, help="simulated seconds per second at most; 0 for as fast as it can")
    return parser.parse_known_args()


def dmpel(*arguments: object) -> None:
    """Run a command of dmpel's in a process of its own, and end where it failed: it has said why."""
    status = subprocess.run([sys.executable, "-m", "dmpel_core.cli", *map(str, arguments)], check=False).returncode
    if status:
        sys.exit(status)


def show(evaluator: Evaluator, trial: Trial, wanted: int) -> None:
    """Record demonstrations from one stored state after another until there are enough."""
    kept = 0
    for state in range(10 * wanted):
        # ros2 service call /recorder/begin std_srvs/srv/Trigger, drive the arm, then /recorder/keep or /recorder/discard
        shown = evaluator.demonstrate(Trial(trial.suite, trial.task, trial.instruction, state))
        kept += shown.success
        print(f"demonstration from state {state}: {'kept' if shown.success else 'discarded'} after {shown.ticks} ticks", flush=True)
        if kept == wanted:
            return
    sys.exit(f"the scripted expert has shown '{trial.instruction}' {kept} times in {10 * wanted} tries")


def main() -> int:
    """Show, learn, load, try."""
    options, for_learning = parse()
    task = load_task(options.suite, options.task)
    trial = Trial(options.suite, options.task, task.instruction, 40, horizon=options.horizon)
    recordings, demonstrations = options.output / "recordings", options.output / f"{task.name}.hdf5"
    # ros2 launch dmpel_ros add_skill.launch.py library:=$PWD/my_library
    with session(Setup(str(options.library), -1, options.output / "logs", options.real_time_factor)) as evaluator:
        print(f"the policy runs generation {evaluator.generation}: {', '.join(evaluator.experts) or 'no expert'}", flush=True)
        with recording(recordings, options.output / "logs"):
            show(evaluator, trial, options.demonstrations)
        dmpel("convert", *sorted(recordings.glob("*.mcap")), "--to", demonstrations, "--instruction", task.instruction)
        dmpel("learn", options.library, "--data", demonstrations, "--run", options.output / "learn", *for_learning)
        # ros2 param set /policy generation -1; ros2 service call /policy/load std_srvs/srv/Trigger
        evaluator.load(-1)
        outcome = evaluator.run(trial)
        print(
            f"'{task.instruction}' by generation {', '.join(map(str, outcome.generations))}, experts {', '.join(evaluator.experts)}: "
            f"{'success' if outcome.success else 'failure'} after {outcome.ticks} ticks"
        )
    return 0


if __name__ == "__main__":
    sys.exit(stoppable("add_a_skill", main))
