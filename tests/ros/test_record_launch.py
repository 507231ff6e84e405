"""The launch files that record: what they resolve to."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dmpel_ros.locations import config_file
from tests.ros.play_launch import PlayLaunch


@pytest.fixture(scope="module")
def tool(colcon_install: Path, tmp_path_factory: pytest.TempPathFactory) -> PlayLaunch:
    return PlayLaunch(tmp_path_factory.mktemp("play_launch"), colcon_install)


def nodes(tool: PlayLaunch, tmp_path: Path, launch_file: str, *arguments: str) -> dict[str, dict[str, Any]]:
    model = tool.dump(launch_file, tmp_path / "model.yaml", *arguments)
    assert "$(" not in model
    return yaml.safe_load(model)["structure"]["nodes"]


def test_the_recorder_is_told_the_policys_parameters_and_its_folder(tool: PlayLaunch, tmp_path: Path) -> None:
    found = nodes(tool, tmp_path, "record.launch.py", "folder:=/somewhere")
    assert set(found) == {"/recorder"}
    recorder = found["/recorder"]
    assert (recorder["pkg"], recorder["exec"]) == ("dmpel_ros", "recorder")
    texts = [yaml.safe_load(text) for text in recorder["params_files"]]
    assert texts[0] == yaml.safe_load(config_file("policy.yaml").read_text())
    single = {name: value for text in texts[1:] for name, value in text["/**"]["ros__parameters"].items()} | recorder.get("params", {})
    assert single == {"folder": "/somewhere"}


def test_adding_a_skill_needs_all_three_nodes(tool: PlayLaunch, tmp_path: Path) -> None:
    assert set(nodes(tool, tmp_path, "add_skill.launch.py")) == {"/simulation", "/policy", "/recorder"}
