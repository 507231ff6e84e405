"""The options that `dmpel pretrain` and `dmpel learn` share, and the settings they make."""

import argparse
from pathlib import Path
from typing import TypeVar

from dmpel_core.inference.options import PRECISIONS
from dmpel_core.training.settings import ImitationSettings

_Settings = TypeVar("_Settings", bound=ImitationSettings)
CHOICES = {
    "schedule": ("one-cycle", "constant"), "padding": ("masked", "counted"), "windows": ("mixed", "whole"),
    "precision": PRECISIONS,
}  # fmt: skip
NUMBERS = ("seed", "steps", "batch", "learning_rate", "weight_decay", "clip", "state_noise", "state_dropout", "forget", "average")
EPOCHS = "least passes over a task's ticks, of which a step shows 10 x batch: a long task has more than --steps"


def add_setting_arguments(parser: argparse.ArgumentParser, own: ImitationSettings) -> None:
    """Declare the options, with the command's own settings as defaults."""
    parser.add_argument("--steps", type=int, default=own.steps, help="optimiser steps")
    parser.add_argument("--batch", type=int, default=own.batch, help="sequences of 10 ticks in a step of one process")
    parser.add_argument("--seed", type=int, default=own.seed)
    parser.add_argument("--learning-rate", type=float, default=own.learning_rate, help="AdamW's, at its peak (paper: 1e-4)")
    parser.add_argument("--weight-decay", type=float, default=own.weight_decay, help="AdamW's (paper: 0.1); no earlier expert ever decays")
    parser.add_argument("--clip", type=float, default=own.clip, help="largest norm of the gradient (paper: 100)")
    parser.add_argument(
        "--schedule", choices=CHOICES["schedule"], default=own.schedule, help="the official DMPEL code trains at a constant rate"
    )
    parser.add_argument("--padding", choices=CHOICES["padding"], default=own.padding,
                        help="whether ticks past a demonstration's end count in the loss; in the official code they do")  # fmt: skip
    parser.add_argument("--windows", choices=CHOICES["windows"], default=own.windows,
                        help="three steps in four draw many sequences of two ticks, or all draw whole windows (paper)")  # fmt: skip
    parser.add_argument("--state-noise", type=float, default=own.state_noise, help="deviation of noise on normalised joints (paper: 0)")
    parser.add_argument(
        "--state-dropout", type=float, default=own.state_dropout, help="share of the sequences with hidden joints (paper: 0)"
    )
    parser.add_argument("--forget", type=float, default=own.forget, help="share of the sequences that look back less far (paper: 0)")
    parser.add_argument(
        "--average", type=float, default=own.average, help="decay of the running mean of the weights, which is kept; 0: none"
    )
    parser.add_argument(
        "--precision", choices=CHOICES["precision"], default=own.precision, help="bf16 and fp16 need CUDA; the router stays fp32"
    )
    parser.add_argument("--compile", action="store_true", dest="compiled", help="compile the network with torch.compile, for long runs")
    parser.add_argument("--threads", type=int, default=2, help="processor threads; results depend on it in the last digits")


def add_stills_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of commands that learn from still pictures too."""
    parser.add_argument("--stills", type=Path, nargs="+", default=[], help="files of still pictures, or folders with such files")
    parser.add_argument("--stills-batch", type=int, default=80, help="still pictures in a step of one process, where there are some")


def stills_of(arguments: argparse.Namespace) -> int:
    """Return how many still pictures a step has: none where none are given."""
    return int(arguments.stills_batch) if arguments.stills else 0


def settings_of(arguments: argparse.Namespace, kind: type[_Settings], **others: object) -> _Settings:
    """Return the settings that the options ask for."""
    return kind(**{name: getattr(arguments, name) for name in (*NUMBERS, *CHOICES, "compiled")}, **others)  # type: ignore[arg-type]
