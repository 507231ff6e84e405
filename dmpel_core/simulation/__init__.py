"""The tasks of LIBERO and robosuite in MuJoCo: reset to a stored state, act at 20 Hz, see both cameras, judge the goal."""

import os

# MuJoCo chooses its OpenGL back end when it is first imported; EGL needs no display and takes a GPU where there is one.
os.environ.setdefault("MUJOCO_GL", "egl")
