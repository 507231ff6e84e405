"""Pictures: upright, the same with reduced meshes, the same whoever else draws."""

import copy

import mujoco
import numpy as np
import pytest

from dmpel_core.simulation import rendering
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.meshes import reduce_visual_meshes, visual_meshes
from dmpel_core.simulation.model_cache import compile_model
from dmpel_core.simulation.rendering import Renderer, RenderingError

MOST_DIFFERENCE = 2.5  # grey levels, mean over both pictures; measured 1.5 on this scene


@pytest.fixture(scope="module")
def full_model(bowl_on_plate: Environment) -> mujoco.MjModel:
    """Return the scene's model with all faces, its fixtures where the environment has them."""
    model = compile_model(bowl_on_plate.robosuite.model.get_xml(), reduce_meshes=False, cache=True)
    model.body_pos[:], model.body_quat[:] = bowl_on_plate.model.body_pos, bowl_on_plate.model.body_quat
    model.site_rgba[:] = bowl_on_plate.model.site_rgba
    return model


def _pictures(model: mujoco.MjModel, state: np.ndarray) -> np.ndarray:
    """Return both cameras' pictures of a state, (2, 128, 128, 3) integer."""
    data = mujoco.MjData(model)
    data.qpos[:] = state[1 : 1 + model.nq]
    mujoco.mj_forward(model, data)
    renderer = Renderer(model, 128)
    pictures = np.array(renderer.render(data), dtype=int)
    renderer.close()
    return pictures


def test_observations_are_upright_and_whole(bowl_on_plate: Environment) -> None:
    bowl_on_plate.reset(bowl_on_plate.task.initial_states[0])
    seen = bowl_on_plate.observe()
    for picture in (seen.agentview, seen.eye_in_hand):
        assert picture.shape == (128, 128, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 20
    warmth = seen.agentview[:, :, 0].astype(int) - seen.agentview[:, :, 2]
    assert warmth[-10:].mean() > 15  # the wooden table is in front of the camera, below
    assert abs(warmth[:10].mean()) < 8  # the grey wall is behind, above


def test_a_moment_is_drawn_later_as_it_was(bowl_on_plate: Environment) -> None:
    bowl_on_plate.reset(bowl_on_plate.task.initial_states[0])
    colours = bowl_on_plate.model.site_rgba.copy()
    lit = [site for site in range(bowl_on_plate.model.nsite) if "burner" in bowl_on_plate.model.site(site).name]
    bowl_on_plate.model.site_rgba[lit, 3] = 1.0
    before, moment = bowl_on_plate.observe(), bowl_on_plate.moment()
    bowl_on_plate.model.site_rgba[:] = colours
    for _ in range(5):
        bowl_on_plate.step(np.array([1, -1, -1, 0.5, 0, 0.5, 1.0]))
    now = bowl_on_plate.observe()
    agentview, eye_in_hand = bowl_on_plate.pictures_of(moment)
    np.testing.assert_array_equal(agentview, before.agentview)
    np.testing.assert_array_equal(eye_in_hand, before.eye_in_hand)
    again = bowl_on_plate.observe()
    np.testing.assert_array_equal(again.agentview, now.agentview)
    np.testing.assert_array_equal(again.eye_in_hand, now.eye_in_hand)
    assert (now.eye_in_hand != before.eye_in_hand).any()


def test_reduced_meshes_give_the_same_picture(bowl_on_plate: Environment, full_model: mujoco.MjModel) -> None:
    state = bowl_on_plate.task.initial_states[7]
    difference = np.abs(_pictures(bowl_on_plate.model, state) - _pictures(full_model, state))
    assert 0 < difference.mean() < MOST_DIFFERENCE


def test_far_coarser_meshes_would_be_noticed(bowl_on_plate: Environment, full_model: mujoco.MjModel) -> None:
    state = bowl_on_plate.task.initial_states[7]
    coarse = copy.deepcopy(bowl_on_plate.model)
    reduce_visual_meshes(coarse, faces=60)
    difference = np.abs(_pictures(coarse, state) - _pictures(full_model, state))
    assert difference.mean() > 2 * MOST_DIFFERENCE


def test_reduction_leaves_physics_alone(bowl_on_plate: Environment, full_model: mujoco.MjModel) -> None:
    reduced = bowl_on_plate.model
    visual = visual_meshes(full_model)
    assert visual == visual_meshes(reduced)
    assert reduced.mesh_facenum[visual].sum() < full_model.mesh_facenum[visual].sum() / 4
    assert reduced.mesh_facenum[visual].max() <= 700
    for mesh in set(range(full_model.nmesh)) - set(visual):
        start, count = full_model.mesh_faceadr[mesh], full_model.mesh_facenum[mesh]
        assert reduced.mesh_facenum[mesh] == count
        np.testing.assert_array_equal(reduced.mesh_face[start : start + count], full_model.mesh_face[start : start + count])
    for name in ("body_mass", "body_inertia", "geom_size", "geom_pos", "geom_contype", "mesh_vert", "mesh_graph"):
        np.testing.assert_array_equal(getattr(reduced, name), getattr(full_model, name), err_msg=name)


def test_leaving_out_what_no_camera_sees_changes_no_pixel(bowl_on_plate: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    bowl_on_plate.reset(bowl_on_plate.task.initial_states[2])
    groups = bowl_on_plate.model.geom_group.copy()
    culled = bowl_on_plate.observe()
    left_out = [rendering._out_of_view(bowl_on_plate.model, bowl_on_plate.data, camera.fixedcamid) for camera in _cameras(bowl_on_plate)]
    assert all(mask.sum() > 10 for mask in left_out)
    np.testing.assert_array_equal(bowl_on_plate.model.geom_group, groups)
    monkeypatch.setattr(rendering, "_out_of_view", lambda model, data, camera: np.zeros(model.ngeom, bool))
    whole = bowl_on_plate.observe()
    np.testing.assert_array_equal(culled.agentview, whole.agentview)
    np.testing.assert_array_equal(culled.eye_in_hand, whole.eye_in_hand)


def test_several_renderers_do_not_disturb_each_other(bowl_on_plate: Environment) -> None:
    bowl_on_plate.reset(bowl_on_plate.task.initial_states[1])
    alone = bowl_on_plate.observe().agentview
    other = Renderer(bowl_on_plate.model, 64, ("frontview",))
    (picture,) = other.render(bowl_on_plate.data)
    assert picture.shape == (64, 64, 3)
    np.testing.assert_array_equal(bowl_on_plate.observe().agentview, alone)
    other.close()
    np.testing.assert_array_equal(bowl_on_plate.observe().agentview, alone)


def test_an_unknown_camera_is_named_with_the_known_ones(bowl_on_plate: Environment) -> None:
    with pytest.raises(RenderingError, match=r"no camera 'moonview'; its cameras: .*agentview"):
        Renderer(bowl_on_plate.model, 64, ("moonview",))


def _cameras(environment: Environment) -> list[mujoco.MjvCamera]:
    """Return the cameras that the environment draws."""
    assert environment._renderer is not None
    return environment._renderer._cameras
