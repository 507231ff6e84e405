"""The options that `dmpel pretrain` and `dmpel learn` share, and the settings they make."""

import argparse
from typing import TypeVar

from dmpel_core.training.settings import ImitationSettings

_Settings = TypeVar("_Settings", bound=ImitationSettings)
CHOICES = {"schedule": ("one-cycle", "constant"), "padding": ("masked", "counted"), "precision": ("fp32", "bf16", "fp16")}


def add_setting_arguments(parser: argparse.ArgumentParser, steps: int) -> None:
    """Declare the options; `steps` is the default number of optimiser steps."""
    own = ImitationSettings(0, steps, 16)
    parser.add_argument("--steps", type=int, default=steps, help="optimiser steps")
    parser.add_argument("--batch", type=int, default=16, help="sequences of 10 ticks in a step of one process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learning-rate", type=float, default=own.learning_rate, help="AdamW's, at its peak (paper: 1e-4)")
    parser.add_argument("--weight-decay", type=float, default=own.weight_decay, help="AdamW's (paper: 0.1); no earlier expert ever decays")
    parser.add_argument("--clip", type=float, default=own.clip, help="largest norm of the gradient (paper: 100)")
    parser.add_argument(
        "--schedule", choices=CHOICES["schedule"], default=own.schedule, help="the official DMPEL code trains at a constant rate"
    )
    parser.add_argument("--padding", choices=CHOICES["padding"], default=own.padding,
                        help="whether ticks past a demonstration's end count in the loss; in the official code they do")  # fmt: skip
    parser.add_argument(
        "--precision", choices=CHOICES["precision"], default=own.precision, help="bf16 and fp16 need CUDA; the router stays fp32"
    )
    parser.add_argument("--threads", type=int, default=2, help="processor threads; results depend on it in the last digits")


def settings_of(arguments: argparse.Namespace, kind: type[_Settings], **others: object) -> _Settings:
    """Return the settings that the options ask for."""
    names = ("seed", "steps", "batch", "learning_rate", "weight_decay", "clip", *CHOICES)
    return kind(**{name: getattr(arguments, name) for name in names}, **others)  # type: ignore[arg-type]
