"""Runs a command's module as `dmpel` does."""

import argparse
from types import ModuleType


def run(module: ModuleType, *words: str) -> int:
    """Return the exit status; errors come through as they are."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module.run(parser.parse_args(words))
