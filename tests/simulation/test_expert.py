"""The expert: one real task, and its parts on scenes of a few boxes."""

from itertools import groupby

import mujoco
import numpy as np
import pytest

from dmpel_core.observation import Observation
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.expert import Expert, StuckError
from dmpel_core.simulation.expert.grasps import Carry, Grasp, plan_grasps
from dmpel_core.simulation.expert.motion import Arm
from dmpel_core.simulation.expert.perturbation import Perturbation
from dmpel_core.simulation.expert.rotations import DOWN, DOWNWARDS, about, across, down, half_turn, rotation_vector
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.skills.drawers import find_drawer
from dmpel_core.simulation.expert.skills.insert import find_chamber
from dmpel_core.simulation.expert.skills.push import way_around
from dmpel_core.simulation.expert.skills.swing import has_hinge
from dmpel_core.simulation.recording import record_episode, settle
from dmpel_core.simulation.tasks import load_task
from dmpel_core.skills.vocabulary import PHASES

TABLE = """
<mujoco>
  <worldbody>
    <body name="table" pos="0 0 0.4"><geom type="box" size="0.5 0.5 0.4"/></body>
    <body name="brick_1_main" pos="0 0 0.82"><geom type="box" size="0.05 0.015 0.02"/></body>
    <body name="wall_1_main" pos="0 0.3 0.9"><geom type="box" size="0.2 0.01 0.1"/><site name="wall_1_top_side" pos="0 0 0.1"/></body>
    <body name="hand" mocap="true" pos="0 0 1.1" quat="0 1 0 0"><site name="gripper0_grip_site"/></body>
    {more}
  </worldbody>
</mujoco>
"""


def table(more: str = "") -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(TABLE.format(more=more))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def test_bowl_is_put_on_the_plate_and_let_go(bowl_on_plate: Environment) -> None:
    found = record_episode(
        bowl_on_plate, bowl_on_plate.task.initial_states[0], attempt=0, disturb=Perturbation(0.0, np.random.default_rng(0)), longest=250
    )
    assert bowl_on_plate.success()
    assert found.phases is not None
    named = [PHASES[number] for number in found.phases]
    assert list(dict.fromkeys(named))[:5] == ["reach", "grasp", "lift", "transport", "place"]
    assert found.actions[-1, 6] == -1
    assert bowl_on_plate.gripper()[0] > found.gripper[:, 0].min() + 0.005
    assert np.abs(found.actions).max() <= 1
    np.testing.assert_array_equal(found.actions, found.executed_actions)


def test_a_handle_that_is_missed_or_slips_is_gripped_again_and_only_there() -> None:
    """A drift carries the hand aside, then the fingers let the handle go while it is pulled; the labels close only at the handle."""
    left = {"grasp": 30, "open": 4}
    with Environment(load_task("libero_goal", 0)) as environment:
        handle = find_drawer(Scene(environment.model, environment.data), environment.task.goal[0][1])
        grip = handle.grip(Scene(environment.model, environment.data))

        def disturb(action: np.ndarray, phase: str, _: np.ndarray) -> np.ndarray:
            if left.get(phase, 0) == 0:
                return action
            left[phase] -= 1
            return action + [0.5, 0, 0, 0, 0, 0, 0] if phase == "grasp" else np.append(action[:6], -1.0)

        found = record_episode(environment, environment.task.initial_states[0], attempt=0, disturb=disturb, longest=400)
        assert environment.success()
    assert found.phases is not None
    named = [PHASES[number] for number in found.phases]
    assert [phase for phase, _ in groupby(named)][:7] == ["reach", "grasp", "open", "release", "reach", "grasp", "open"]
    closes = np.flatnonzero(np.diff(found.actions[:, 6]) > 0) + 1
    assert len(closes) == 2
    aside = (found.ee_pos - grip)[:, [0, 2]]  # the drawer comes along y
    assert np.abs(aside[closes]).max() < 0.012
    assert np.abs(aside[closes[0] - 40 : closes[0]]).max() > 0.03
    assert abs(found.ee_pos[closes[0], 1] - grip[1]) < 0.012


def test_a_chamber_is_found_behind_its_door_and_things_without_handle_are_refused() -> None:
    walls = (("0 0 0", "0.15 0.1 0.01"), ("0.14 0 0.1", "0.01 0.1 0.1"), ("-0.14 0 0.1", "0.01 0.1 0.1"))
    solid = "".join(f'<geom type="box" pos="{at}" size="{size}"/>' for at, size in walls)
    door = '<joint name="swing" pos="-0.15 0 0" axis="0 0 1" range="-2 0"/><geom type="box" size="0.15 0.01 0.1" mass="1"/>'
    inside = f'<site name="oven_1_heating_region" pos="0.01 0 0.1"/><body name="door" pos="0 -0.11 0.1">{door}</body>'
    model, data = table(f'<body name="oven_1_main" pos="0 -0.3 0.81">{solid}{inside}</body>')
    data.joint("swing").qpos[0] = -1.5
    mujoco.mj_forward(model, data)
    scene = Scene(model, data)
    chamber = find_chamber(scene, "oven_1_heating_region")
    np.testing.assert_allclose(chamber.out, [0, -1, 0], atol=1e-9)
    np.testing.assert_allclose(chamber.sill, [0, -0.41, 0.82], atol=1e-6)
    assert has_hinge(scene, "oven_1")
    assert not has_hinge(scene, "wall_1")
    with pytest.raises(StuckError, match="no handle"):
        Expert(model, data, (("in", "brick_1", "oven_1_heating_region"),)).act()


def test_disturbed_episode_is_labelled_with_clean_actions_at_what_was_seen(bowl_on_plate: Environment) -> None:
    asked: list[tuple[np.ndarray, np.ndarray]] = []
    seen: list[Observation] = []
    disturb = Perturbation(0.05, np.random.default_rng(2))

    def remember(action: np.ndarray, phase: str, _: np.ndarray) -> np.ndarray:
        asked.append((action, bowl_on_plate.state()))
        seen.append(bowl_on_plate.observe())
        return disturb(action, phase)

    found = record_episode(bowl_on_plate, bowl_on_plate.task.initial_states[1], attempt=0, disturb=remember, longest=250)
    assert found.states is not None
    assert found.initial_state is not None
    np.testing.assert_array_equal(found.actions, [action for action, _ in asked])
    np.testing.assert_array_equal(found.states, [state for _, state in asked])
    np.testing.assert_array_equal(found.agentview, [observation.agentview for observation in seen])
    np.testing.assert_array_equal(found.eye_in_hand, [observation.eye_in_hand for observation in seen])
    assert (np.abs(found.actions - found.executed_actions)[:, :6].max(axis=1) > 0).mean() > 0.9
    bowl_on_plate.reset(found.initial_state)
    settle(bowl_on_plate)
    for executed, state in zip(found.executed_actions, found.states, strict=True):
        np.testing.assert_array_equal(bowl_on_plate.state(), state)
        bowl_on_plate.step(executed)
    assert bowl_on_plate.success()


def test_nothing_is_drawn_of_an_episode_that_fails(bowl_on_plate: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bowl_on_plate, "pictures_of", lambda _: pytest.fail("a failed episode was drawn"))
    with pytest.raises(StuckError, match="not solved after 3 ticks"):
        record_episode(bowl_on_plate, bowl_on_plate.task.initial_states[0], attempt=0, disturb=lambda action, *_: action, longest=3)


def test_moves_lead_back_from_wherever_the_hand_was_pushed() -> None:
    model, data = table()
    arm = Arm(model, data)
    goal = np.array([0.2, 0.0, 1.0])
    actions = arm.move(goal, ticks=100)
    for place in ([0.0, 0.0, 1.1], [0.4, 0.1, 0.9], [0.2, -0.3, 1.0]):
        data.mocap_pos[0] = place
        mujoco.mj_forward(model, data)
        pushed = next(actions)[:3]
        towards = goal - place
        assert pushed @ towards > 0.999 * np.linalg.norm(pushed) * np.linalg.norm(towards)
    data.mocap_pos[0] = goal
    data.mocap_quat[0] = [0, 2**-0.5, 2**-0.5, 0]
    mujoco.mj_forward(model, data)
    assert next(actions, None) is None


def test_moves_end_when_the_hand_is_stopped_near_the_goal() -> None:
    model, data = table()
    arm = Arm(model, data)
    arm.rotation_goal = arm.rotation
    assert 10 < len(list(arm.move(arm.position + [0, 0, -0.01]))) < 20


def test_scene_knows_objects_and_table() -> None:
    scene = Scene(*table())
    assert set(scene.objects) == {"brick_1", "wall_1"}
    assert scene.table_height == pytest.approx(0.8)
    np.testing.assert_allclose(np.ptp(scene.cloud("brick_1"), axis=0), [0.10, 0.03, 0.04], atol=1e-6)
    assert scene.bottom("brick_1") == pytest.approx(0.8)
    assert scene.site_owner("wall_1_top_side") == "wall_1"
    assert scene.height_along(np.array([0, 0.2, 1]), np.array([0, 0.4, 1]), 0.05) == pytest.approx(1.0)
    assert scene.height_along(np.array([0, -0.4, 1]), np.array([0, -0.3, 1]), 0.05) == pytest.approx(0.8)


def test_a_table_of_boxes_that_lie_on_their_side_is_as_high_as_it_looks() -> None:
    board = '<body name="board" pos="0 0 0.78"><geom type="box" size="0.04 0.5 0.5" euler="0 90 0"/></body>'
    assert Scene(*table(board)).table_height == pytest.approx(0.82)


def test_contacts_are_seen() -> None:
    lid = '<body name="lid_1_main" pos="0 0 0.8595"><freejoint/><geom type="box" size="0.02 0.02 0.02"/></body>'
    scene = Scene(*table(lid))
    assert scene.in_contact("lid_1", "brick_1")
    assert not scene.in_contact("lid_1", "wall_1")


def test_grasps_close_across_the_thin_side() -> None:
    best = plan_grasps(Scene(*table()), "brick_1", 1)[0]
    assert abs(half_turn(best.yaw)) < 0.3
    np.testing.assert_allclose(best.centre, [0, 0], atol=0.02)
    assert 0.8 < best.height < 0.84


def test_grasps_differ() -> None:
    grasps = plan_grasps(Scene(*table()), "brick_1", 4)
    assert len(grasps) >= 4
    assert not any(one.resembles(other) for place, one in enumerate(grasps) for other in grasps[:place])
    assert Grasp(0, np.zeros(2), np.pi / 2, 0).resembles(Grasp(0, np.zeros(2), -np.pi / 2, 0))


@pytest.mark.parametrize("turn", np.linspace(0, 0.4, 5))
def test_a_round_thing_is_taken_by_the_same_side_however_it_is_turned(turn: float) -> None:
    places = [(angle, 0.045 * np.cos(angle), 0.045 * np.sin(angle)) for angle in turn + np.linspace(0, 2 * np.pi, 16, endpoint=False)]
    box = '<geom type="box" size="0.003 0.009 0.02"'
    staves = [f'{box} pos="{x} {y} 0" euler="0 0 {np.rad2deg(angle)}"/>' for angle, x, y in places]
    bowl = f'<body name="bowl_1_main" pos="{0.2 + 0.1 * turn} 0 0.83">{"".join(staves)}</body>'
    best = plan_grasps(Scene(*table(bowl)), "bowl_1", 1)[0]
    np.testing.assert_allclose(best.centre - [0.2 + 0.1 * turn, 0], [0, 0.045], atol=0.018)  # a stave's width


def test_grasps_avoid_neighbours() -> None:
    block = '<body name="block_1_main" pos="0.04 0.045 0.85"><geom type="box" size="0.03 0.01 0.05"/></body>'
    for grasp in plan_grasps(Scene(*table(block)), "brick_1", 4):
        assert grasp.centre[0] < 0.01


def test_grasps_leave_room_where_the_object_goes() -> None:
    block = '<body name="block_1_main" pos="0.04 -0.255 0.85"><geom type="box" size="0.03 0.01 0.05"/></body>'
    carry = Carry(np.array([0, -0.3, 0]))
    assert max(grasp.centre[0] for grasp in plan_grasps(Scene(*table(block)), "brick_1", 12)) > 0.01
    assert max(grasp.centre[0] for grasp in plan_grasps(Scene(*table(block)), "brick_1", 12, carry=carry)) < 0.01


def test_a_thing_is_pushed_around_what_stands_in_its_way() -> None:
    target, slack = np.array([0.0, -0.3]), 0.03
    np.testing.assert_allclose(way_around(Scene(*table()), "brick_1", target, slack), [target + [0, slack]])  # the nearest that will do
    block = '<body name="block_1_main" pos="0.03 -0.15 0.82"><geom type="box" size="0.04 0.02 0.02"/></body>'
    bend, end = way_around(Scene(*table(block)), "brick_1", target, slack)
    assert bend[0] < -0.03
    assert np.abs(end - target).max() <= slack
    walls = [(f"fence_{number}_main", at) for number, at in enumerate(((0, -0.15), (0.25, 0), (-0.25, 0)))]
    fence = "".join(f'<body name="{name}" pos="{x} {y} 0.82"><geom type="box" size="0.24 0.24 0.02"/></body>' for name, (x, y) in walls)
    np.testing.assert_array_equal(way_around(Scene(*table(fence)), "brick_1", target, slack), [target])


def test_unknown_goals_are_refused() -> None:
    model, data = table()
    for goal in (("open", "wall_1"), ("fold", "brick_1"), ("on", "brick_1")):
        with pytest.raises(StuckError, match="no skill for"):
            Expert(model, data, (goal,)).act()


def test_rotations() -> None:
    np.testing.assert_allclose(down(), DOWN, atol=1e-12)
    np.testing.assert_allclose(rotation_vector(about(np.array([0, 0, 1.0]), 0.3)), [0, 0, 0.3], atol=1e-12)
    np.testing.assert_allclose(rotation_vector(down(0.4) @ down(0.1).T), [0, 0, 0.3], atol=1e-12)
    assert half_turn(np.pi * 0.75) == pytest.approx(-np.pi / 4)


def test_perturbation_keeps_gripper_and_bounds() -> None:
    disturb = Perturbation(0.5, np.random.default_rng(0))
    action = np.array([1.0, -1, 0.5, 0, 0, 0, 1])
    disturbed = np.array([disturb(action, "reach") for _ in range(300)])
    assert (disturbed[:, 6] == 1).all()
    assert np.abs(disturbed).max() <= 1
    assert disturbed[:, 2].std() > 0.1


def test_perturbation_spares_precise_phases() -> None:
    action = np.array([0.2, 0, 0, 0, 0, 0, 1.0])
    spread = {}
    for phase in ("reach", "turn"):
        disturb = Perturbation(0.1, np.random.default_rng(0))
        spread[phase] = np.std([disturb(action, phase)[1] for _ in range(300)])
    assert spread["turn"] < 0.2 * spread["reach"]


def test_drifts_last_and_go_to_one_side() -> None:
    disturb = Perturbation(0.1, np.random.default_rng(3))
    still = np.array([0.0, 0, 0, 0, 0, 0, -1])
    executed = np.array([disturb(still, "grasp") for _ in range(600)])
    sideways = np.linalg.norm(executed[:, :2], axis=1)
    smooth = np.convolve(sideways, np.ones(8) / 8, "valid")
    assert smooth.max() > 0.2
    assert np.median(sideways) < 0.5
    turning = np.array([disturb(still, "turn") for _ in range(600)])
    assert np.abs(turning[:, :2]).max() < 0.05


def test_a_hand_that_turns_something_is_held_up_at_times() -> None:
    disturb = Perturbation(0.1, np.random.default_rng(0))
    turning = np.array([0.2, 0, 0, 0, 0, 0.4, 1.0])
    slow = np.array([disturb(turning, "turn")[5] < 0.3 for _ in range(600)])
    begins, ends = (np.flatnonzero(np.diff(slow.astype(int)) == sign) for sign in (1, -1))
    lengths = ends[: len(begins)] - begins[: len(ends)] if ends[0] > begins[0] else ends[1:] - begins[: len(ends) - 1]
    assert 0.2 < slow.mean() < 0.6
    assert lengths.min() >= 4


def test_a_hand_that_faces_a_drawer_drifts_up_and_down_too() -> None:
    still, facing_it = np.array([0.0, 0, 0, 0, 0, 0, -1]), np.array([0.0, -1, 0])
    for angle in np.linspace(0, 2 * np.pi, 9):
        np.testing.assert_allclose(across(DOWNWARDS, angle), [np.cos(angle), np.sin(angle), 0], atol=1e-12)
        np.testing.assert_allclose([across(facing_it, angle) @ facing_it, np.linalg.norm(across(facing_it, angle))], [0, 1], atol=1e-9)
    disturb = Perturbation(0.1, np.random.default_rng(3))
    executed = np.array([disturb(still, "grasp", facing_it) for _ in range(600)])
    smooth = np.abs([np.convolve(executed[:, axis], np.ones(8) / 8, "valid") for axis in range(3)]).max(axis=1)
    assert smooth[1] < 0.1
    assert min(smooth[0], smooth[2]) > 0.2


def test_the_expert_opens_fingers_that_closed_on_nothing(bowl_on_plate: Environment) -> None:
    class Snap(Perturbation):
        snapped = 0

        def __call__(self, action: np.ndarray, phase: str, _: np.ndarray = DOWNWARDS) -> np.ndarray:
            self.snapped += phase == "grasp" and action[6] < 0
            return np.append(action[:6], 1.0) if 3 < self.snapped < 12 and action[6] < 0 else action

    demonstration = record_episode(
        bowl_on_plate, bowl_on_plate.task.initial_states[0], attempt=0, disturb=Snap(0.0, np.random.default_rng(0)), longest=250
    )
    width = np.ptp(demonstration.gripper, axis=1)
    early = np.flatnonzero((demonstration.executed_actions[:, 6] > 0) & (demonstration.actions[:, 6] < 0))
    assert len(early) > 0
    grasping = np.flatnonzero(demonstration.actions[:, 6] > 0)
    assert width[early[0] : grasping[0]].min() < 0.03
    assert width[grasping[0]] > 0.06


def test_early_fingers_open_again() -> None:
    disturb = Perturbation(1e-6, np.random.default_rng(0))
    down = np.array([0.0, 0, -0.4, 0, 0, 0, -1])
    closed = np.array([disturb(down, "grasp")[6] for _ in range(1000)]) > 0
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[False], closed, [False]]).astype(int))))[::2]
    assert len(runs) > 3
    assert runs.max() <= 30
    assert not any(disturb(down, "reach")[6] > 0 for _ in range(300))


def test_late_fingers_obey_in_the_end_and_the_hand_slows_down() -> None:
    down, close = np.array([0.0, 0, -0.4, 0, 0, 0, -1]), np.array([0.0, 0, 0, 0, 0, 0, 1])
    delays = []
    for seed in range(40):
        disturb = Perturbation(1e-6, np.random.default_rng(seed))
        disturb(down, "grasp")
        executed = np.array([disturb(close, "grasp") for _ in range(20)])
        late = int((executed[:, 6] < 0).sum())
        assert (executed[late:, 6] == 1).all()
        assert (np.diff(executed[:late, 2]) > 0).all()
        assert (executed[:late, 2] > -0.4).all()
        delays.append(late)
    assert min(delays) == 0
    assert max(delays) > 8


def test_the_expert_grasps_although_the_fingers_are_late(bowl_on_plate: Environment) -> None:
    class Late(Perturbation):
        def __call__(self, action: np.ndarray, phase: str, _: np.ndarray = DOWNWARDS) -> np.ndarray:
            self.held = self.held + 1 if action[6] > 0 else 0
            return action if self.held > 12 else np.append(action[:6], -1.0)

        held = 0

    demonstration = record_episode(
        bowl_on_plate, bowl_on_plate.task.initial_states[0], attempt=0, disturb=Late(0.0, np.random.default_rng(0)), longest=250
    )
    closing = np.flatnonzero(demonstration.actions[:, 6] > 0)[0]
    np.testing.assert_array_equal(demonstration.executed_actions[closing : closing + 12, 6], -1)
    assert np.ptp(demonstration.gripper[closing + 11]) > 0.07
    assert np.ptp(demonstration.gripper[-1]) > 0.01


def test_no_perturbation_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    action = np.full(7, 0.5)
    np.testing.assert_array_equal(Perturbation(0.0, rng)(action, "reach"), action)
    assert rng.random() == np.random.default_rng(0).random()
