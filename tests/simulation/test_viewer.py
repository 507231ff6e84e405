"""The window on a simulation: when it opens and closes, and where it looks from. What MuJoCo draws in it is MuJoCo's."""

import mujoco
import mujoco.viewer
import numpy as np
import pytest

from dmpel_core.simulation.viewer import Viewer, ViewerError, look_as

SCENE = '<mujoco><worldbody><camera name="agentview" pos="1 0.2 1.5" xyaxes="-0.2 1 0 -0.5 -0.1 0.8"/></worldbody></mujoco>'


class Window:
    """In the place of MuJoCo's: remembers."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model, self.syncs, self.open = model, 0, True
        self.opt, self.cam = mujoco.MjvOption(), mujoco.MjvCamera()

    def is_running(self) -> bool:
        return self.open

    def sync(self) -> None:
        self.syncs += 1

    def close(self) -> None:
        self.open = False


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[Window]:
    opened: list[Window] = []

    def launch(model: mujoco.MjModel, _: mujoco.MjData, **options: bool) -> Window:
        assert options == {"show_left_ui": False, "show_right_ui": False}
        opened.append(Window(model))
        return opened[-1]

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(mujoco.viewer, "launch_passive", launch)
    return opened


def scene() -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def test_one_window_follows_what_is_simulated(windows: list[Window]) -> None:
    first, second = scene(), scene()
    viewer = Viewer()
    assert windows == []
    for _ in range(3):
        viewer.show(*first)
    viewer.show(*second)
    assert [(window.model, window.syncs, window.open) for window in windows] == [(first[0], 3, False), (second[0], 1, True)]
    assert list(windows[0].opt.geomgroup[:2]) == [0, 1], "what bodies collide with is not what they look like"
    viewer.close()
    viewer.close()
    assert not windows[1].open


def test_a_window_that_a_person_closed_stays_closed_until_the_next_simulation(windows: list[Window]) -> None:
    first, second = scene(), scene()
    viewer = Viewer()
    viewer.show(*first)
    windows[0].open = False
    viewer.show(*first)
    assert (len(windows), windows[0].syncs) == (1, 1)
    viewer.show(*second)
    assert len(windows) == 2


def test_it_begins_where_the_policys_camera_is() -> None:
    _, data = scene()
    view = mujoco.MjvCamera()
    look_as(view, data, "agentview")
    azimuth, elevation = np.deg2rad([view.azimuth, view.elevation])
    ahead = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    np.testing.assert_allclose(view.lookat - view.distance * ahead, data.camera("agentview").xpos, atol=1e-9)
    np.testing.assert_allclose(ahead, -data.camera("agentview").xmat.reshape(3, 3)[:, 2], atol=1e-9)


def test_without_a_display_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ViewerError, match="neither of DISPLAY, WAYLAND_DISPLAY is set: leave the viewer off"):
        Viewer()
