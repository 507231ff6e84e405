"""Still pictures: their waypoints lead where the expert closes and opens its fingers, whatever the hand does in them."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmpel_core.data.hdf5 import DemonstrationError
from dmpel_core.data.stills import Stills, read_stills, write_stills
from dmpel_core.errors import DmpelError
from dmpel_core.simulation import stills_command
from dmpel_core.simulation.collect import task_record
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.posing import Posing
from dmpel_core.simulation.recording import expert_actions
from dmpel_core.simulation.stills import Settings, make_stills
from dmpel_core.simulation.tasks import load_task

SETTINGS = Settings(layouts=1, each=10, seed=5)


def nothing() -> None:
    """Take notice of nothing."""


@pytest.fixture(scope="module")
def taken(bowl_on_plate: Environment) -> Stills:
    """Return ten pictures of one arrangement, at which the environment is left."""
    return make_stills(bowl_on_plate, SETTINGS, nothing)


def goals(environment: Environment, stills: Stills) -> np.ndarray:
    """Return where each picture's waypoint leads, (n, 3) [m]."""
    before, posing, found = environment.state(), Posing(environment), []
    for joints, waypoint in zip(stills.joints, stills.waypoints, strict=True):
        posing.set_joints(joints)
        found.append(posing.hand + waypoint)
    environment.reset(before)
    return np.array(found)


def turns(environment: Environment) -> list[tuple[float, np.ndarray]]:
    """Return where the expert closes (1) and opens (-1) its fingers from the arrangement at hand, and where it ends (0), each (3,) [m]."""
    environment.reset(environment.state())
    site, fingers, found = environment.data.site("gripper0_grip_site"), -1.0, []
    for action in expert_actions(environment):
        if action[6] != fingers:
            fingers = action[6]
            found.append((fingers, site.xpos.copy()))
        environment.step(action)
    return [*found, (0.0, site.xpos.copy())]


def test_waypoints_lead_where_the_expert_closes_and_opens(bowl_on_plate: Environment, taken: Stills) -> None:
    empty = np.ptp(taken.gripper, axis=1) > 0.02
    where = goals(bowl_on_plate, taken)
    closes, opens = where[empty], where[~empty]
    assert len(closes) >= 5
    assert len(opens) >= 3
    (_, closed), (_, opened), _ = turns(bowl_on_plate)
    assert np.linalg.norm(closes - closed, axis=1).max() < 0.012
    assert np.linalg.norm(opens - opened, axis=1).max() < 0.03


@pytest.mark.parametrize(("task", "wanted"), [(0, [1, 0]), (3, [1, -1, 1, -1]), (7, [1])])
def test_waypoints_lead_through_drawers_and_to_knobs(task: int, wanted: list[int]) -> None:
    """Every picture's goal is where the expert next closes or opens its fingers or ends, and each of these has pictures."""
    with Environment(load_task("libero_goal", task)) as environment:
        stills = make_stills(environment, replace(SETTINGS, each=16), nothing)
        left, where = environment.state(), goals(environment, stills)
        found = turns(environment)[: len(wanted)]
        assert [fingers for fingers, _ in found] == wanted
        nearest = np.array([np.linalg.norm(where - place, axis=1) for _, place in found])
        assert nearest.min(axis=0).max() < 0.03
        assert set(nearest.argmin(axis=0)) == set(range(len(wanted)))
        environment.reset(left)
        assert not environment.success()


def test_hands_are_in_many_places(taken: Stills) -> None:
    assert np.linalg.norm(taken.waypoints, axis=1).max() > 0.1
    assert len({tuple(row.round(3)) for row in taken.joints}) == len(taken)
    assert len({picture.tobytes() for picture in taken.eye_in_hand}) == len(taken)


def test_the_same_seed_gives_the_same_pictures_whatever_came_before(bowl_on_plate: Environment, taken: Stills) -> None:
    again = make_stills(bowl_on_plate, replace(SETTINGS, layouts=2, each=10), nothing)
    first = again.by_layout()[0]
    np.testing.assert_array_equal(first.agentview, taken.agentview)
    np.testing.assert_allclose(first.waypoints, taken.waypoints, atol=1e-9)
    assert not np.array_equal(again.by_layout()[1].agentview[0], taken.agentview[0])


def test_a_file_gives_back_what_was_written(bowl_on_plate: Environment, taken: Stills, tmp_path: Path) -> None:
    path = tmp_path / "a_stills.hdf5"
    write_stills(path, taken, task_record(bowl_on_plate.task))
    sentence, read = read_stills(path)
    assert sentence == bowl_on_plate.task.instruction
    for name in ("agentview", "eye_in_hand", "joints", "gripper", "waypoints", "layouts"):
        np.testing.assert_array_equal(getattr(read, name), getattr(taken, name))
    assert read.attributes["seed"] == SETTINGS.seed
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_demonstrations_are_not_taken_for_still_pictures(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "demo.hdf5", "w") as file:
        file.create_group("data/demo_0")
    with pytest.raises(DemonstrationError, match="holds no still pictures; `dmpel stills` makes them"):
        read_stills(tmp_path / "demo.hdf5")


def test_a_task_that_only_pushes_is_refused() -> None:
    with (
        Environment(load_task("libero_goal", 5), render=False) as environment,
        pytest.raises(DmpelError, match=r"does not begin with picking an object up.* with a drawer or with a knob"),
    ):
        make_stills(environment, SETTINGS, nothing)


def test_the_command_makes_a_file_and_leaves_it_alone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    parser = argparse.ArgumentParser()
    stills_command.add_arguments(parser)
    options = ["--suite", "libero_goal", "--tasks", "8", "--layouts", "1", "--each", "3", "--output", str(tmp_path), "--processes", "1"]
    assert stills_command.run(parser.parse_args(options)) == 0
    path = tmp_path / "libero_goal" / "put_the_bowl_on_the_plate_stills.hdf5"
    before = path.read_bytes()
    assert len(read_stills(path)[1]) == 3
    assert stills_command.run(parser.parse_args(options)) == 0
    assert path.read_bytes() == before
    assert "is there already" in capsys.readouterr().out
