"""What the fingers hold, told from contacts."""

import mujoco


def held(model: mujoco.MjModel, data: mujoco.MjData) -> set[int]:
    """Return the root bodies of what both fingers touch."""
    touched: dict[str, set[int]] = {"leftfinger": set(), "rightfinger": set()}
    for contact in data.contact[: data.ncon]:
        bodies = [int(model.geom_bodyid[geom]) for geom in (contact.geom1, contact.geom2)]
        for finger, things in touched.items():
            for body, other in (bodies, bodies[::-1]):
                if finger in _path(model, body) and "gripper0" not in _path(model, other):
                    things.add(int(model.body_rootid[other]))
    return touched["leftfinger"] & touched["rightfinger"]


def _path(model: mujoco.MjModel, body: int) -> str:
    """Return the names of a body and the one that carries it."""
    return f"{model.body(model.body_parentid[body]).name}/{model.body(body).name}"
