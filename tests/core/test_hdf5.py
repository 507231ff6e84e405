"""Demonstration files: ours, LIBERO's own, and ones that must not be read."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from dmpel_core.data import hdf5_access
from dmpel_core.data.hdf5 import (
    Demonstration,
    DemonstrationError,
    TaskRecord,
    list_demonstrations,
    read_demonstration,
    read_demonstrations,
    read_task,
    write_demonstration,
    write_task_attributes,
)

TASK = TaskRecord("put the bowl on the plate", "libero_goal", "libero_tabletop", "bowl.bddl", "(define (problem x))", {"robots": ["Panda"]})

ARRAYS = ("actions", "executed_actions", "agentview", "eye_in_hand", "joints", "gripper", "ee_pos", "ee_ori", "states", "phases")


def make(length: int, seed: int = 0) -> Demonstration:
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (2, length, 8, 8, 3), dtype=np.uint8)
    actions = rng.uniform(-1, 1, (length, 7))
    return Demonstration(
        actions=actions,
        agentview=pictures[0],
        eye_in_hand=pictures[1],
        joints=rng.normal(size=(length, 7)),
        gripper=rng.normal(size=(length, 2)),
        ee_pos=rng.normal(size=(length, 3)),
        ee_ori=rng.normal(size=(length, 3)),
        executed_actions=actions + 0.1,
        states=rng.normal(size=(length, 11)),
        phases=rng.integers(0, 2, length).astype(np.uint8),
        phase_names=("reach", "grasp"),
        initial_state=rng.normal(size=11),
        attributes={"reach": 0.05, "state_index": 3},
    )


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    path = tmp_path / "ours.hdf5"
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        for number in range(11):
            write_demonstration(data.create_group(f"demo_{number}"), make(5 + number, seed=number))
        write_task_attributes(data, TASK)
    return path


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """A file as LIBERO writes them: number t stands in every pixel of obs[t] and in actions[t], the top row is stored last."""
    path = tmp_path / "official.hdf5"
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        problem = {"problem_name": "p", "language_instruction": list("put it there")}
        data.attrs.update({"env_name": "p", "problem_info": json.dumps(problem), "env_args": json.dumps({"env_kwargs": {}})})
        demo = data.create_group("demo_0")
        demo.attrs["init_state"] = np.zeros(11)
        number = np.arange(4.0)
        demo["actions"] = np.repeat(number[:, None], 7, axis=1)
        demo["states"] = np.repeat(number[:, None], 11, axis=1)
        obs = demo.create_group("obs")
        pictures = np.repeat(number.astype(np.uint8), 4 * 4 * 3).reshape(4, 4, 4, 3)
        pictures[:, -1] = 200
        obs["agentview_rgb"], obs["eye_in_hand_rgb"] = pictures, pictures
        for name, width in (("joint_states", 7), ("gripper_states", 2), ("ee_pos", 3), ("ee_ori", 3)):
            obs[name] = np.repeat(number[:, None], width, axis=1)
    return path


def test_what_was_written_is_read(ours: Path) -> None:
    for number, found in enumerate(read_demonstrations(ours)):
        expected = make(5 + number, seed=number)
        for name in (
            "actions",
            "executed_actions",
            "agentview",
            "eye_in_hand",
            "joints",
            "gripper",
            "ee_pos",
            "ee_ori",
            "states",
            "phases",
        ):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
        np.testing.assert_array_equal(found.initial_state, expected.initial_state)
        assert found.phase_names == expected.phase_names
        assert found.attributes == expected.attributes
    assert number == 10


def test_task_is_read_back(ours: Path) -> None:
    assert read_task(ours) == TASK


def test_listing_is_in_order_of_numbers(ours: Path) -> None:
    assert list_demonstrations(ours) == {f"demo_{number}": 5 + number for number in range(11)}


def test_layout_is_liberos(ours: Path) -> None:
    with h5py.File(ours) as file:
        data, demo = file["data"], file["data/demo_0"]
        assert data.attrs["num_demos"] == 11
        assert data.attrs["total"] == sum(range(5, 16))
        assert json.loads(data.attrs["problem_info"])["language_instruction"] == TASK.language
        assert demo["robot_states"].shape == (5, 9)
        np.testing.assert_allclose(np.linalg.norm(demo["robot_states"][:, 5:], axis=1), 1)
        assert demo["dones"][()].tolist() == demo["rewards"][()].tolist() == [0, 0, 0, 0, 1]
        np.testing.assert_array_equal(demo["obs/ee_states"][()], np.concatenate([demo["obs/ee_pos"], demo["obs/ee_ori"]], axis=1))


def test_parts_can_be_left_out(ours: Path) -> None:
    found = read_demonstration(ours, "demo_2", images=False, states=False)
    assert found.agentview is None
    assert found.eye_in_hand is None
    assert found.states is None


def test_official_files_give_the_action_that_follows_the_observation(official: Path) -> None:
    found = read_demonstration(official, "demo_0")
    assert list_demonstrations(official) == {"demo_0": 3}
    assert found.agentview is not None
    assert found.states is not None
    assert found.actions[:, 0].tolist() == [1, 2, 3]
    assert found.executed_actions[:, 0].tolist() == [1, 2, 3]
    assert found.states[:, 0].tolist() == [1, 2, 3]
    assert found.joints[:, 0].tolist() == [0, 1, 2]
    assert found.agentview[:, 2, 0, 0].tolist() == [0, 1, 2]


def test_official_pictures_are_turned_upright(official: Path) -> None:
    found = read_demonstration(official, "demo_0")
    assert found.agentview is not None
    assert found.eye_in_hand is not None
    assert (found.agentview[:, 0] == 200).all()
    assert (found.eye_in_hand[:, 0] == 200).all()


def test_official_instruction_is_found(official: Path) -> None:
    assert read_task(official).language == "put it there"


def external_link(file: h5py.File) -> None:
    del file["data/demo_0/actions"]
    file["data/demo_0/actions"] = h5py.ExternalLink("elsewhere.hdf5", "/actions")


def external_storage(file: h5py.File) -> None:
    del file["data/demo_0/actions"]
    file["data/demo_0"].create_dataset("actions", shape=(5, 7), dtype="f8", external=[("/etc/hostname", 0, 280)])


def objects(file: h5py.File) -> None:
    del file["data/demo_0/actions"]
    file["data/demo_0"].create_dataset("actions", data=["text"] * 5, dtype=h5py.string_dtype())


def narrow(file: h5py.File) -> None:
    del file["data/demo_0/actions"]
    file["data/demo_0/actions"] = np.zeros((5, 6))


def short(file: h5py.File) -> None:
    del file["data/demo_0/obs/joint_states"]
    file["data/demo_0/obs/joint_states"] = np.zeros((4, 7))


def grey(file: h5py.File) -> None:
    del file["data/demo_0/obs/agentview_rgb"]
    file["data/demo_0/obs/agentview_rgb"] = np.zeros((5, 8, 8), np.uint8)


def blind(file: h5py.File) -> None:
    del file["data/demo_0/obs/agentview_rgb"]


def unknown_orientation(file: h5py.File) -> None:
    file["data"].attrs["image_orientation"] = "sideways"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (external_link, "ExternalLink"),
        (external_storage, "another file"),
        (objects, "plain numbers"),
        (narrow, r"\(5, 6\), expected \(length, 7\)"),
        (short, r"\(4, 7\), but the demonstration has 5 actions"),
        (grey, "expected uint8"),
        (blind, "agentview_rgb is missing"),
        (unknown_orientation, "'sideways'; known: upright, bottom-up"),
    ],
)
def test_bad_files_are_refused(ours: Path, damage: Callable[[h5py.File], None], words: str) -> None:
    with h5py.File(ours, "r+") as file:
        damage(file)
    with pytest.raises(DemonstrationError, match=words):
        read_demonstration(ours, "demo_0")


def test_data_that_unpacks_to_too_much_is_refused(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_access, "LARGEST", 1000)
    with pytest.raises(DemonstrationError, match="more than 1000 bytes"):
        read_demonstration(ours, "demo_5")


def test_damaged_files_are_refused(ours: Path) -> None:
    ours.write_bytes(ours.read_bytes()[:2000])
    with pytest.raises(DemonstrationError, match="cannot read"):
        list_demonstrations(ours)


def test_unknown_demonstrations_are_named(ours: Path) -> None:
    with pytest.raises(DemonstrationError, match="no demonstration 'demo_99'; it has demo_0"):
        read_demonstration(ours, "demo_99")
