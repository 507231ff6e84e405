"""Run episodes over ROS 2: the simulated arm and the policy node as two processes, and a table at the end.

Beside the normal condition, three controls tell what the policy uses: `blank` (both pictures black), `wrong` (the
instruction of another task, judged by its own goal) and `wide` (objects moved away from the stored states);
`wide_blank` is wide and blank together.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from dmpel_core.errors import DmpelError
from dmpel_core.simulation.tasks import SUITES, load_task
from dmpel_ros import report
from dmpel_ros.evaluator import Evaluator, Outcome, Trial
from dmpel_ros.session import Setup, parse_states, session
from dmpel_ros.video import Film

CONDITIONS = ("normal", "blank", "wrong", "wide", "wide_blank")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--library", default="models/libero_goal", help="folder of the library (default: %(default)s)")
    parser.add_argument(
        "--generation", type=int, default=-1, help="generation of the library; -1 for the selected one (default: %(default)s)"
    )
    parser.add_argument("--suite", default="libero_goal", help=f"one of {', '.join(SUITES)} (default: %(default)s)")
    parser.add_argument("--tasks", default="0", help="indices of the tasks, such as 0,1,8 or 0:4 (default: %(default)s)")
    parser.add_argument("--episodes", type=int, default=5, help="episodes per task and condition (default: %(default)s)")
    parser.add_argument("--states", default="40:50", help="stored initial states to start from, in turn (default: %(default)s)")
    parser.add_argument("--conditions", default="normal", help=f"which of {','.join(CONDITIONS)} (default: %(default)s)")
    parser.add_argument("--reach", type=float, default=0.07, help="how far the wide condition moves objects [m] (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the wide placements (default: %(default)s)")
    parser.add_argument("--horizon", type=int, default=600, help="ticks after which an episode has failed (default: %(default)s)")
    parser.add_argument(
        "--real-time-factor",
        type=float,
        default=0.0,
        help="simulated seconds per second at most; 0 for as fast as it can (default: %(default)s)",
    )
    parser.add_argument("--viewer", action="store_true", help="show the simulation in a window; needs a display")
    parser.add_argument("--video", type=Path, help="folder for one MP4 per task and condition")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/simulate/summary.json"), help="where the summary goes (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run all episodes, print the table, write the summary."""
    plans = list(_plans(arguments))
    logs, recorded = arguments.output.parent / "logs", arguments.video is not None
    setup = Setup(arguments.library, arguments.generation, logs, arguments.real_time_factor, recorded, arguments.viewer)
    groups: list[report.Group] = []
    with session(setup) as evaluator:
        total = sum(len(trials) for _, _, trials in plans)
        for instruction, condition, trials in plans:
            film = arguments.video / f"{instruction.replace(' ', '_')}-{condition}.mp4" if arguments.video else None
            done = sum(len(group.outcomes) for group in groups)
            groups.append(report.Group(instruction, condition, run_trials(evaluator, trials, condition, film, done, total)))
        generation = evaluator.generation
    report.write(arguments.output, report.summary(groups, generation))
    print(f"\n{report.table(groups)}\n\nsummary: {arguments.output}")
    return 0


def run_trials(evaluator: Evaluator, trials: Sequence[Trial], note: str, film: Path | None, done: int, total: int) -> tuple[Outcome, ...]:
    """Run episodes one after another, print a line for each, and append their pictures to the film, if one is wanted."""
    outcomes = []
    with ExitStack() as stack:
        reel = stack.enter_context(closing(Film(film))) if film else None
        for index, trial in enumerate(trials):
            outcome = evaluator.run(trial)
            print(report.progress(done + index + 1, total, outcome, note), flush=True)
            if reel:
                reel.add(outcome, f"({note})")
            outcomes.append(replace(outcome, frames=()))
    return tuple(outcomes)


def _plans(arguments: argparse.Namespace) -> Iterator[tuple[str, str, list[Trial]]]:
    """Yield the task's instruction, the condition and the trials, condition by condition."""
    tasks = [load_task(arguments.suite, index) for index in parse_states(arguments.tasks)]
    for condition in arguments.conditions.split(","):
        if condition not in CONDITIONS:
            raise DmpelError(f"unknown condition '{condition}'; valid conditions: {', '.join(CONDITIONS)}")
        for place, task in enumerate(tasks):
            said = (
                _other_instruction(arguments.suite, task.index, [other.instruction for other in tasks], place)
                if condition == "wrong"
                else task.instruction
            )
            trials = plan_trials(
                Trial(arguments.suite, task.index, said, 0, horizon=arguments.horizon), arguments.episodes, parse_states(arguments.states)
            )
            yield task.instruction, condition, [_under(condition, trial, arguments.reach, arguments.seed) for trial in trials]


def plan_trials(pattern: Trial, episodes: int, states: Sequence[int]) -> list[Trial]:
    """Return trials like the pattern from the first `episodes` states.

    Raises:
        DmpelError: There are fewer states than episodes: the policy is deterministic, so a state used twice tells nothing new.
    """
    if episodes > len(states):
        raise DmpelError(f"{episodes} episodes need as many different initial states, {len(states)} are given: give more in --states")
    return [replace(pattern, state=state) for state in states[:episodes]]


def _other_instruction(suite: str, index: int, known: Sequence[str], place: int) -> str:
    """Return the instruction of the next task of the list, or of the next one of the suite where the list has no other."""
    return known[(place + 1) % len(known)] if len(known) > 1 else load_task(suite, 0 if index else 1).instruction


def _under(condition: str, trial: Trial, reach: float, seed: int) -> Trial:
    wide = condition.startswith("wide")
    return replace(trial, blank=condition.endswith("blank"), reach=reach if wide else 0.0, seed=seed if wide else 0)
