"""The arm's kinematics: laws, and the Panda of the simulation."""

import mujoco
import numpy as np
import pytest

from dmpel_core.errors import DmpelError
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.tasks import load_task
from dmpel_ros.kinematics import Chain
from dmpel_ros.policy_parameters import PANDA_DH
from tests.ros.fakes import POSE

PANDA = Chain.from_parameters(PANDA_DH, [0.0, 0.0, 0.2035], 7)


def test_a_zero_panda_stands_upright_and_reaches_forward() -> None:
    np.testing.assert_allclose(PANDA.position(np.zeros(7)), [0.088, 0.0, 0.333 + 0.316 + 0.384 - 0.2035], atol=1e-12)


def test_the_jacobian_is_the_derivative_of_the_position() -> None:
    joints, small = POSE + 0.1, 1e-6
    numeric = [(PANDA.position(joints + small * unit) - PANDA.position(joints - small * unit)) / (2 * small) for unit in np.eye(7)]
    np.testing.assert_allclose(PANDA.jacobian(joints)[:3].T, numeric, atol=1e-8)


def test_a_joint_step_moves_the_tool_as_asked() -> None:
    wanted = np.array([0.004, -0.003, 0.002])
    moved = PANDA.position(POSE + PANDA.joint_step(POSE, np.append(wanted, np.zeros(3)))) - PANDA.position(POSE)
    np.testing.assert_allclose(moved, wanted, atol=2e-4)


def test_a_motion_is_what_a_joint_step_was_asked_for() -> None:
    wanted = np.array([0.004, -0.003, 0.002, 0.02, -0.03, 0.01])
    np.testing.assert_allclose(PANDA.motion(POSE, POSE + PANDA.joint_step(POSE, wanted)), wanted, atol=1.5e-3)
    np.testing.assert_allclose(PANDA.motion(POSE, POSE + np.eye(7)[0] * 0.3)[3:], [0.0, 0.0, 0.3], atol=1e-9)


def test_a_stretched_arm_is_not_thrown_about() -> None:
    stretched = np.zeros(7)
    assert np.abs(PANDA.joint_step(stretched, np.array([0.01, 0.01, 0.01, 0.0, 0.0, 0.0]))).max() < 0.2


def test_a_description_that_does_not_fit_the_joints_is_refused() -> None:
    with pytest.raises(DmpelError, match="7 joints, so 'dh' needs 21 numbers and 'tool' 3; they have 18 and 3"):
        Chain.from_parameters(PANDA_DH[:18], [0.0] * 3, 7)


def test_it_is_the_simulated_panda() -> None:
    task = load_task("libero_goal", 8)
    environment = Environment(task, render=False)
    base = environment.data.body("robot0_link0").xpos
    for state in task.initial_states[:3]:
        environment.reset(state)
        for _ in range(3):
            environment.step(np.array([1.0, -1.0, 0.5, 0.3, 0.0, 0.5, -1.0]))
            mujoco.mj_kinematics(environment.model, environment.data)  # a step ends with the sites of its last substep but one
            site = environment.data.site("gripper0_grip_site").xpos - base
            joints = environment.data.qpos[environment._joints]
            np.testing.assert_allclose(PANDA.position(joints), site, atol=1e-4)
