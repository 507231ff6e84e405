"""`pip install` and what it promises: files in share/, commands that exist, a base that needs little, versions that are pinned."""

import ast
import re
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint, distribution, packages_distributions, requires
from pathlib import Path

import pytest

from dmpel_core import __version__
from tests.conftest import ROOT
from tests.packaging.test_colcon import EXECUTABLES, SHARED

SOURCES = ("dmpel_core", "dmpel_ros", "launch", "config", "resource", "package.xml", "setup.py", "setup.cfg", "pyproject.toml")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources, because pip builds inside of the tree."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.mark.parametrize("options", [[], ["--editable"]], ids=["plain", "editable"])
def test_pip_installs_the_shared_files(tree: Path, tmp_path: Path, options: list[str]) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--ignore-installed"]
    subprocess.run([*pip, "--prefix", str(tmp_path), *options, "."], cwd=tree, check=True, timeout=600)
    share = tmp_path / "share/dmpel_ros"
    assert {name: (share / name).read_bytes() for name in SHARED} == {name: (ROOT / name).read_bytes() for name in SHARED}
    assert (tmp_path / "share/ament_index/resource_index/packages/dmpel_ros").is_file()
    assert [name for name in EXECUTABLES if not (tmp_path / "bin" / name).is_file()] == []


def own_entry_points(group: str) -> list[EntryPoint]:
    """Return the entry points of this distribution."""
    return list(distribution("dmpel").entry_points.select(group=group))


def test_every_command_can_be_asked_for_help() -> None:
    points = own_entry_points("dmpel.commands")
    training = {"collect", "stills", "annotate", "pretrain", "learn", "evaluate", "heads", "alarm", "lifelong", "report"}
    libraries = {
        "show",
        "sign",
        "pack",
        "install",
        "frames",
        "verify",
        "diff",
        "coverage",
        "prune",
        "thin",
        "export",
        "import-official",
        "export-official",
    }
    assert {point.name for point in points} == training | libraries | {"simulate", "demo", "replay", "convert"}
    modules = [point.load() for point in points]
    assert [module.__name__ for module in modules if not (callable(module.add_arguments) and callable(module.run) and module.__doc__)] == []


def test_every_executable_is_a_function() -> None:
    points = own_entry_points("console_scripts")
    assert {point.name for point in points} == set(EXECUTABLES)
    assert all(callable(point.load()) for point in points)


BASE = (
    *("dmpel_core.cli", "dmpel_core.observation", "dmpel_core.inference.engine"),
    *("dmpel_core.experts.library", "dmpel_core.experts.show", "dmpel_core.experts.sign"),
    *("dmpel_core.experts.pack", "dmpel_core.experts.install"),
)
ONLY_BASE = """
import importlib, sys
allowed = {*sys.stdlib_module_names, "numpy", "safetensors", "dmpel_core"}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ImportError(f"{name} is not part of the base installation")
sys.meta_path.insert(0, Refuse())
importlib.import_module(sys.argv[1])
"""


@pytest.mark.parametrize("module", BASE)
def test_the_base_needs_numpy_and_safetensors_alone(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", ONLY_BASE, module], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["torch", "mujoco", "rclpy", "h5py"])
def test_the_guard_of_the_base_refuses(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", ONLY_BASE, module], capture_output=True, text=True, check=False)
    assert f"{module} is not part of the base installation" in done.stderr


def test_both_kinds_of_metadata_agree() -> None:
    package = (ROOT / "package.xml").read_text()
    assert "<name>dmpel_ros</name>" in package
    assert f"<version>{__version__}</version>" in package
    assert distribution("dmpel").version == __version__


def plain(name: str) -> str:
    """Return a distribution's name in its normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> set[str]:
    """Return the names of the distributions that constraints.txt pins."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {plain(line.partition("==")[0]) for line in lines if line and not line.startswith("#")}


def test_every_requirement_is_pinned() -> None:
    wanted = {plain(match[0]) for requirement in requires("dmpel") or () if (match := re.match(r"[\w.-]+", requirement))}
    assert "torch" in wanted
    assert wanted - pins() == set()


def imported() -> set[str]:
    """Return the top-level names of everything that the two packages import."""
    files = [path for folder in ("dmpel_core", "dmpel_ros") for path in (ROOT / folder).rglob("*.py")]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) if node.module]
    return {name.partition(".")[0] for name in names}


def test_every_import_is_pinned() -> None:
    foreign = imported() - sys.stdlib_module_names - {"dmpel_core", "dmpel_ros"}
    assert "torch" in foreign
    owners = packages_distributions()
    assert [name for name in sorted(foreign) if not pins() & {plain(owner) for owner in owners.get(name, ())}] == []
