"""A node that may run signed generations only: whatever is wrong with a signature, it goes on with what it has or does not start."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rclpy.context import Context

from dmpel_core.experts.library import LibraryError, read_library
from dmpel_core.experts.signature import read_public_key, sign
from dmpel_ros.catalogue import LibraryCatalogue
from dmpel_ros.engines import load_library
from dmpel_ros.skills import Permission, Skills
from tests.core.conftest import TINY
from tests.core.engines import make_exported
from tests.core.keys import make_keys
from tests.ros.fakes import FakeEngine
from tests.ros.recording import RecordingPolicy, for_the_simulation, status_values
from tests.ros.small_library import make_small_library
from tests.ros.test_skills import PROMISE


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library of which the generations 1 and 3 are signed."""
    path, (private, _) = tmp_path / "library", make_keys(tmp_path, "ours")
    make_small_library(path)
    for generation in (1, 3):
        sign(path, read_library(path, generation).manifest, private)
    return path


@pytest.fixture
def configure(context: Context, library: Path, tmp_path: Path) -> Iterator[Callable[..., RecordingPolicy]]:
    """Return a node that was asked to configure itself, signatures required."""
    made: list[RecordingPolicy] = []

    def build(**values: Any) -> RecordingPolicy:
        given = {"library": str(library), "require_signed": True, "public_key": str(tmp_path / "ours-public.pem"), "autostart": False}
        made.append(RecordingPolicy(FakeEngine, context=context, parameter_overrides=for_the_simulation(**given | values)))
        made[-1].trigger_configure()
        made[-1].on_changed()
        return made[-1]

    yield build
    for node in made:
        node.destroy_node()


def told(node: RecordingPolicy) -> tuple[str, str]:
    status = node.on("~/status")[-1]
    return status_values(status)["kind"], status.message


def test_a_node_with_a_signed_generation_is_configured_and_hands_the_key_to_its_engine(configure: Any, tmp_path: Path) -> None:
    node = configure()
    assert node.state == "inactive"
    assert node._parts.engine.wanted["signed_by"] == read_public_key(tmp_path / "ours-public.pem")


@pytest.mark.fault
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"generation": 2}, "generation 2 of .* is not signed"),
        ({"public_key": ""}, "'public_key' is empty"),
        ({"public_key": "/nowhere.pem"}, "no public key"),
        ({"public_key": "theirs"}, "signed with another key"),
    ],
    ids=["unsigned", "no key", "key missing", "wrong key"],
)
def test_without_a_good_signature_nothing_is_configured(configure: Any, values: dict[str, Any], words: str, tmp_path: Path) -> None:
    theirs = str(make_keys(tmp_path, "theirs")[1])
    node = configure(**{name: theirs if value == "theirs" else value for name, value in values.items()})
    kind, message = told(node)
    assert (node.state, kind) == ("unconfigured", "refused")
    assert re.search(words, message)


@pytest.mark.fault
def test_an_unsigned_generation_is_not_loaded_and_the_running_one_goes_on(library: Path, tmp_path: Path) -> None:
    engine, catalogue = FakeEngine(), LibraryCatalogue(read_public_key(tmp_path / "ours-public.pem"))
    skills = Skills(engine, catalogue, PROMISE, Permission(True, library), library, 3)
    for success, message in (skills.load(library, 2), skills.roll_back()):
        assert not success
        assert "generation 2" in message
        assert message.endswith("generation 3 stays in use")
    assert engine.generation == 3
    assert skills.load(library, 1)[0]


@pytest.mark.fault
def test_what_is_exchanged_after_the_check_is_found_by_the_engine(tmp_path: Path) -> None:
    """The engine reads the files anew; it must not take the catalogue's word for them."""
    path, (private, public) = make_exported(tmp_path / "library", TINY, 2).path, make_keys(tmp_path, "ours")
    sign(path, read_library(path).manifest, private)
    wanted = {"threads": 1, "engine": "onnx", "provider": "cpu", "route_every": 0, "route_after": False, "tolerance": 0.0, "int8": ""}
    wanted |= {"hysteresis": 0.0, "most_change": 0.0, "precision": "fp32", "alarm": "off", "signed_by": read_public_key(public)}
    engine = load_library(path, None, wanted)
    (path / "signatures/0002.sig").write_bytes(bytes(64))
    with pytest.raises(LibraryError, match="signed with another key"):
        engine.load(path, 2)
    with pytest.raises(LibraryError, match="is not signed"):
        load_library(path, 1, wanted)
    assert engine.generation == 2
