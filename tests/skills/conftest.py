"""One small library for all tests, and copies of it for those that write."""

import shutil
from pathlib import Path

import pytest
import torch

from dmpel_core.experts.library import Library, open_library
from dmpel_core.policy.policy import Policy
from tests.core.conftest import TINY
from tests.skills.small import make_taught


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Three tasks, taught one after the other; no test writes to it."""
    return make_taught(tmp_path_factory.mktemp("taught") / "library", 3)


@pytest.fixture
def own(taught: Library, tmp_path: Path) -> Library:
    """The same for a test of its own."""
    shutil.copytree(taught.path, tmp_path / "library")
    return open_library(tmp_path / "library")


@pytest.fixture
def policy() -> Policy:
    """A tiny policy with random weights."""
    torch.manual_seed(0)
    return Policy(TINY).eval()
