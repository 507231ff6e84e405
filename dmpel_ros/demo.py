"""Three tasks through ROS 2, then a fourth before and after its expert is loaded into the running policy node.

What is shown, from which initial states and with which generations stands in config/demo.yaml.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import yaml

from dmpel_core.errors import DmpelError
from dmpel_core.simulation.tasks import Task, load_task
from dmpel_ros import report
from dmpel_ros.evaluator import Evaluator, Trial
from dmpel_ros.locations import config_file
from dmpel_ros.session import Setup, parse_states, session
from dmpel_ros.simulate import plan_trials, run_trials


@dataclass(frozen=True)
class Plan:
    """What config/demo.yaml says.

    Attributes:
        library: Folder of the library.
        suite: LIBERO suite.
        first_generation: Generation that the node starts with.
        first_tasks: Indices of the tasks that it knows.
        loaded_generation: Generation that is loaded while the node runs.
        loaded_task: Index of the task that only this one knows.
        states: Stored initial states that no training and no selection saw, such as 40:50.
        episodes: Episodes per task and phase.
        horizon: Ticks after which an episode has failed.
        real_time_factor: Simulated seconds per second at most.
    """

    library: str
    suite: str
    first_generation: int
    first_tasks: list[int]
    loaded_generation: int
    loaded_task: int
    states: str
    episodes: int
    horizon: int
    real_time_factor: float


def read_plan(path: Path) -> Plan:
    """Read the plan; every key must be there and no other."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        return Plan(**content)
    except TypeError as error:
        raise DmpelError(f"{path} does not hold the keys {', '.join(Plan.__annotations__)}: {error}") from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--plan", type=Path, help="what to show (default: the package's config/demo.yaml)")
    parser.add_argument("--library", help="folder of the library (default: the plan's)")
    parser.add_argument("--episodes", type=int, help="episodes per task and phase (default: the plan's)")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/demo"), help="folder for the films, the logs and summary.json (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show everything, print the table, write the summary."""
    plan = read_plan(arguments.plan or config_file("demo.yaml"))
    setup = Setup(arguments.library or plan.library, plan.first_generation, arguments.output / "logs", plan.real_time_factor, record=True)
    print("starting the simulated arm and the policy node ...", flush=True)
    with session(setup) as evaluator:
        groups = Show(plan, arguments.episodes or plan.episodes, evaluator, arguments.output).groups()
        generation = evaluator.generation
    report.write(arguments.output / "summary.json", report.summary(groups, generation))
    print(f"\n{report.table(groups)}\n\nsummary and films: {arguments.output}")
    return 0


class Show:
    """The demonstration as it goes."""

    def __init__(self, plan: Plan, episodes: int, evaluator: Evaluator, folder: Path) -> None:
        """Prepare to run `episodes` per task and phase and to put the films into `folder`."""
        self._plan, self._episodes, self._evaluator, self._folder = plan, episodes, evaluator, folder
        self._done = 0
        self._total = episodes * (len(plan.first_tasks) + 2)

    def groups(self) -> list[report.Group]:
        """Run the three phases."""
        plan = self._plan
        groups = [self._phase(load_task(plan.suite, index), "first") for index in plan.first_tasks]
        fourth = load_task(plan.suite, plan.loaded_task)
        groups.append(self._phase(fourth, "before_load"))
        self._evaluator.load(plan.loaded_generation)
        print(f"        loaded generation {plan.loaded_generation} into the running node", flush=True)
        return [*groups, self._phase(fourth, "after_load")]

    def _phase(self, task: Task, phase: str) -> report.Group:
        pattern = Trial(task.suite, task.index, task.instruction, 0, horizon=self._plan.horizon)
        trials = plan_trials(pattern, self._episodes, parse_states(self._plan.states))
        name = task.instruction.replace(" ", "_") + ("" if phase == "first" else f"-{phase}")
        outcomes = run_trials(self._evaluator, trials, phase, self._folder / f"{name}.mp4", self._done, self._total)
        self._done += len(outcomes)
        return report.Group(task.instruction, phase, outcomes)
