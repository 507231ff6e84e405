"""Parameters of the policy node. The defaults are for a real arm and strict; config/ holds one file per kind of arm."""

from math import pi

from dmpel_ros.parameters import Parameter

PANDA_JOINTS = [f"panda_joint{number}" for number in range(1, 8)]

# a [m], d [m], alpha [rad] of each joint, as in the Panda's own documentation.
PANDA_DH = [
    *(0.0, 0.333, 0.0),
    *(0.0, 0.0, -pi / 2),
    *(0.0, 0.316, pi / 2),
    *(0.0825, 0.0, pi / 2),
    *(-0.0825, 0.384, -pi / 2),
    *(0.0, 0.0, pi / 2),
    *(0.088, 0.0, pi / 2),
]

LIBRARY = (
    Parameter("library", "", "Folder of the library to run; absolute, or relative to the working directory or to the package."),
    Parameter("generation", -1, "Generation of the library to run; -1 takes the one that the library's manifest selects.", -1, 1_000_000),
    Parameter("expert_file", "", "Expert file that ~/add takes into the running library and loads; see `dmpel pack`."),
    Parameter("allow_loading", False, "Whether ~/load, ~/add and ~/roll_back may change the library while the node runs.", read_only=True),
    Parameter(
        "library_root",
        "",
        "Folder that every library and expert file to load must lie in; empty for the first library's own.",
        read_only=True,
    ),
    Parameter("require_signed", False, "Whether only generations run that are signed by the owner of `public_key`.", read_only=True),
    Parameter("public_key", "", "File with the public key of who may sign, in PEM; see `dmpel sign`.", read_only=True),
    Parameter("gate", True, "Whether ~/load refuses a generation that would change how old tasks are done.", read_only=True),
)

ENGINE = (
    Parameter("threads", 1, "Threads that the engine computes with.", 1, 64, read_only=True),
    Parameter("engine", "auto", "auto, onnx or torch: onnx for a library that has graphs, see `dmpel export`.", read_only=True),
    Parameter("provider", "auto", "What to compute on: auto, cpu, cuda, or for onnx alone tensorrt.", read_only=True),
    Parameter("route_every", 0, "Ticks from one routing to the next; 0 for what the library says.", 0, 1000, read_only=True),
    Parameter("route_after", False, "Whether to act first, with the coefficients of the tick before, and to route after.", read_only=True),
    Parameter("tolerance", 0.0, "A module group is mixed anew only when a coefficient of it has moved by more.", 0.0, 2.0, read_only=True),
    Parameter(
        "int8",
        "",
        "File of `dmpel frames`: the image tower runs in eight bits if it sees nearly the same on those; empty for float32.",
        read_only=True,
    ),
    Parameter(
        "hysteresis",
        0.0,
        "By how much a stronger expert must be ahead to take over a module group; 0.0 for at all.",
        0.0,
        2.0,
        read_only=True,
    ),
    Parameter("most_change", 0.0, "Largest change of a coefficient from one routing to the next; 0.0 for any.", 0.0, 2.0, read_only=True),
    Parameter("precision", "fp32", "fp32, or bf16 or fp16, in which the torch engine computes all but the router.", read_only=True),
    Parameter("alarm", "report", "What an unknown task or scene leads to: off, report on ~/alarm, or hold until ~/clear.", read_only=True),
    Parameter("alarm_ticks", 20, "Strange ticks in a row that raise the alarm, and familiar ones that end it.", 1, 10_000, read_only=True),
)

LIFECYCLE = (
    Parameter("autostart", False, "Whether the node configures and activates itself when it starts.", read_only=True),
    Parameter(
        "strict_preflight", True, "Whether activation needs a message of every input and a listener for the commands.", read_only=True
    ),
)

CONTRACT = (
    Parameter("rate", 20.0, "Ticks per second [Hz]; the policy was trained at one rate.", 1.0, 100.0, read_only=True),
    Parameter("image_size", 128, "Width and height of both pictures [pixels].", 16, 1024, read_only=True),
    Parameter("image_orientation", "upright", "Which way up the pictures arrive, in the words of the library's manifest.", read_only=True),
    Parameter("action_kind", "pose_delta", "What an action is: pose_delta for steps of the tool's pose, then the gripper.", read_only=True),
    Parameter("action_frame", "base", "Along whose axes the steps are.", read_only=True),
    Parameter("action_linear", 0.05, "What a full linear step is meant to be [m]; the box stops the tool that far ahead.", 0.001, 1.0,
              read_only=True),
    Parameter("action_angular", 0.5, "What a full angular step is meant to be [rad].", 0.001, pi, read_only=True),
)  # fmt: skip

INPUTS = (
    Parameter("agentview_topic", "/agentview/image_raw", "Pictures of the fixed camera.", read_only=True),
    Parameter("eye_in_hand_topic", "/eye_in_hand/image_raw", "Pictures of the wrist camera.", read_only=True),
    Parameter("joints_topic", "/joint_states", "Joint states.", read_only=True),
    Parameter("compressed_pictures", False, "Whether the cameras send sensor_msgs/CompressedImage (JPEG or PNG).", read_only=True),
    Parameter("max_picture_age", 0.1, "Oldest picture that is acted on [s].", 0.001, 10.0, read_only=True),
    Parameter("max_joints_age", 0.1, "Oldest joint state that is acted on [s].", 0.001, 10.0, read_only=True),
    Parameter("max_input_skew", 0.08, "Largest difference between the stamps of one observation's inputs [s].", 0.0, 1.0, read_only=True),
    Parameter(
        "frozen_motion", 0.05, "A picture that stays the same while a joint moves this far is frozen [rad]; 0.0 turns the check off.",
        0.0, 1.0, read_only=True,
    ),
    Parameter("max_compute", 0.1, "Longest that one tick may compute; its action is dropped after that [s].", 0.001, 60.0, read_only=True),
    Parameter("max_faults", 100, "Faulty ticks in a row that stop the node until ~/clear; 0 for never.", 0, 100_000, read_only=True),
)  # fmt: skip

ARM = (
    Parameter("arm_joints", PANDA_JOINTS, "Names of the arm joints, base first.", read_only=True),
    Parameter("finger_joints", ["panda_finger_joint1", "panda_finger_joint2"], "Names of the two finger joints.", read_only=True),
    Parameter(
        "finger_signs", [1.0, -1.0], "Sign of each finger's position in the training data, where drivers publish openings.", read_only=True
    ),
    Parameter(
        "joint_low", [-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973], "Lower ends of the joints' ranges [rad].",
        read_only=True,
    ),
    Parameter(
        "joint_high", [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973], "Upper ends of the joints' ranges [rad].", read_only=True
    ),
    Parameter("dh", PANDA_DH, "Modified Denavit-Hartenberg rows of the arm: a [m], d [m], alpha [rad] per joint.", read_only=True),
    Parameter("tool", [0.0, 0.0, 0.2035], "Centre of the tool in the last joint's frame [m].", read_only=True),
)  # fmt: skip

LIMITS = (
    Parameter("action_limit", [0.5] * 6, "Largest pose delta per axis, as a share of full deflection.", read_only=True),
    Parameter("change_limit", [0.2] * 6, "Largest change of the pose delta from tick to tick, per axis.", read_only=True),
    Parameter("jerk_limit", [0.2] * 6, "Largest change of that change from tick to tick, per axis.", read_only=True),
    Parameter("ramp", 1.0, "Time over which the motion grows to its full size after activation and after every hold [s].", 0.0, 60.0,
              read_only=True),
    Parameter("box_low", [0.2, -0.5, 0.0], "Lower corner of the box that the tool stays in, in the base frame [m].", read_only=True),
    Parameter("box_high", [0.8, 0.5, 0.8], "Upper corner of that box [m].", read_only=True),
)  # fmt: skip

OUTPUT = (
    Parameter("output", "twist", "How actions are published: twist, positions or trajectory.", read_only=True),
    Parameter("command_topic", "/servo_node/delta_twist_cmds", "Where arm commands go.", read_only=True),
    Parameter("gripper_topic", "/gripper_controller/commands", "Where gripper commands go.", read_only=True),
    Parameter("command_frame", "panda_link0", "Frame that the twist is expressed in.", read_only=True),
    Parameter("linear_scale", 1.0, "A full linear deflection in the output's unit: [m] per tick for positions and trajectory.", 0.0, 10.0,
              read_only=True),
    Parameter("angular_scale", 1.0, "A full angular deflection in the output's unit: [rad] per tick for positions and trajectory.", 0.0,
              10.0, read_only=True),
    Parameter("max_lead", 0.1, "How far commanded joint positions may run ahead of the measured ones [rad].", 0.0, 1.0, read_only=True),
    Parameter("time_from_start", 0.1, "When a trajectory's point is to be reached [s].", 0.001, 10.0, read_only=True),
    Parameter("gripper_open", [-1.0], "Gripper command that opens, one number per actuated finger.", read_only=True),
    Parameter("gripper_closed", [1.0], "Gripper command that closes, one number per actuated finger.", read_only=True),
)  # fmt: skip

GROUPS = {
    "Library": LIBRARY,
    "Engine": ENGINE,
    "Lifecycle": LIFECYCLE,
    "Contract": CONTRACT,
    "Inputs": INPUTS,
    "Arm": ARM,
    "Limits": LIMITS,
    "Output": OUTPUT,
}
"""The table by subject, in the order in which the documentation shows it."""

PARAMETERS = tuple(row for group in GROUPS.values() for row in group)
