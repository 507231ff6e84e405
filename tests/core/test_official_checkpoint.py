"""Official checkpoint files: both formats of torch, damage, and code that must not run."""

import argparse
import io
import os
import pickle
import struct
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dmpel_core.errors import DmpelError
from dmpel_core.official.checkpoint import read_state, write_state


class Config(dict):
    """A configuration of a class that the reader does not know, with attributes, as the official files hold one."""

    def __init__(self, **values: object) -> None:
        super().__init__(values)
        self.__dict__ = self


class Runs:
    """Pickles to a call."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self._call


def example() -> dict[str, Tensor]:
    """Return tensors of every kind that a state dict may hold."""
    torch.manual_seed(0)
    shared = torch.randn(6, 4)
    return OrderedDict(
        weight=torch.randn(5, 3),
        transposed=torch.randn(3, 5).T,
        part=shared[2:4, 1:],
        tied=shared,
        half=torch.randn(7).half(),
        brain=torch.randn(7).bfloat16(),
        mask=torch.tensor([True, True, False]),
        ids=torch.arange(77)[None],
        scalar=torch.tensor(3.0),
        empty=torch.zeros(0, 4),
        parameter=nn.Parameter(torch.randn(2, 2)),
    )


CONFIG = Config(seed=100, policy=Config(name="dmpel", layers=[6, 7]), folder=Path("/data"), kind=torch.float32, order={1, 2}, raw=b"x")
HOLDERS: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "state": lambda state: state,
    "official": lambda state: {"state_dict": state, "cfg": CONFIG, "previous_masks": None},
    "tuple": lambda state: (state, CONFIG, None),
    "last": lambda state: [types.SimpleNamespace(a=1), argparse.Namespace(a=np.float64(1)), np.arange(3), dict(state)],
}


def save(path: Path, thing: object, legacy: bool = False) -> Path:
    torch.save(thing, path, _use_new_zipfile_serialization=not legacy)
    return path


def assert_same(found: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    assert list(found) == list(given)
    for name, value in given.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("holder", HOLDERS)
def test_every_tensor_comes_out_as_it_went_in(tmp_path: Path, holder: str, legacy: bool) -> None:
    state = example()
    assert_same(read_state(save(tmp_path / "file.pth", HOLDERS[holder](state), legacy)), state)


def test_what_is_written_is_what_the_official_code_indexes(tmp_path: Path) -> None:
    state = example()
    write_state(tmp_path / "new" / "file.pth", state)
    found = torch.load(tmp_path / "new" / "file.pth", weights_only=True)
    assert_same(found["state_dict"], state)
    assert (found["cfg"], found["previous_masks"]) == (None, None)
    assert_same(read_state(tmp_path / "new" / "file.pth"), state)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.pth"]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "where", [lambda state, code: (state, code), lambda state, code: {"state_dict": {**state, "x": code}, "cfg": None}]
)
@pytest.mark.parametrize("function", [os.system, eval, exec, io.open, torch.load, Path.touch, pickle.loads, getattr, __import__])
def test_code_is_refused_and_not_run(tmp_path: Path, function: Callable, where: Callable, legacy: bool) -> None:
    marker = tmp_path / "marker"
    argument: object = {os.system: f"touch {marker}", io.open: str(marker), Path.touch: marker}.get(function, f"open({str(marker)!r}, 'w')")
    file = save(tmp_path / "evil.pth", where(example(), Runs(function, argument)), legacy)
    with pytest.raises(DmpelError, match=r"is refused: it asks for .*which is code: nothing of it was run"):
        read_state(file)
    assert not marker.exists()


def helper(marker: str) -> None:
    """Stand for a function of a package that the reader does not know."""
    Path(marker).touch()


def test_a_call_of_an_unknown_package_is_refused_and_not_run(tmp_path: Path) -> None:
    file = save(tmp_path / "evil.pth", (example(), Runs(helper, str(tmp_path / "marker"))))
    with pytest.raises(DmpelError, match=r"it wants to call .*helper, which is code"):
        read_state(file)
    assert not (tmp_path / "marker").exists()


def write_pickle(path: Path, program: bytes) -> Path:
    """Write an archive around a pickle made by hand."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", program)
        archive.writestr("a/data/0", bytes(16))
    return path


STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
BUILD = b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (b"(cposix\nsystem\nX\x04\x00\x00\x00trueo.", "asks for posix.system"),
        (b"(X\x04\x00\x00\x00trueios\nsystem\n.", "asks for os.system"),
        (b"cnt\nsystem\n.", "asks for nt.system"),
        (b"c__builtin__\neval\n.", "asks for builtins.eval"),
        (b"ctorch\nload\n.", "asks for torch.load"),
        (b"cnumpy\nload\n.", "asks for numpy.load"),
        (b"cunknown.code\nrun\n)R.", "call unknown.code.run"),
        (b"(X\x01\x00\x00\x00aiunknown\nrun\n.", "call unknown.run"),
        (b"}X\x01\x00\x00\x00w" + BUILD + b"K\x00J\xff\xff\xff\x7f\x85K\x00\x85tRs.", "'w' of shape .* leaves its storage of 4"),
        (b"}X\x01\x00\x00\x00w" + BUILD + b"K\x03K\x02\x85K\x01\x85tRs.", "leaves its storage of 4"),
        (b"}X\x01\x00\x00\x00w" + BUILD + b"K\x00J\xfe\xff\xff\xff\x85K\x01\x85tRs.", "has shape"),
        (b"}X\x01\x00\x00\x00w" + BUILD + b"K\x00K\x04\x85K\x01\x85tR}X\x06\x00\x00\x00offsetK\x09sbs.", "is damaged or no checkpoint"),
        (b"ctorch\nFloatStorage\nQ.", "is damaged or no checkpoint"),
        (b"}X\x01\x00\x00\x00wK\x01s.", "holds no state dict, only dict"),
        (b"I1\n.", "holds no state dict, only int"),
        (b"", "is damaged or no checkpoint"),
        (b"\xff\xff", "is damaged or no checkpoint"),
    ],
)
def test_odd_pickles_end_in_one_clear_error(tmp_path: Path, program: bytes, words: str) -> None:
    with pytest.raises(DmpelError, match=words):
        read_state(write_pickle(tmp_path / "odd.pth", program))


def test_a_file_cut_anywhere_is_refused_and_names_the_first_lost_tensor(tmp_path: Path) -> None:
    state = {f"layer{number}.weight": torch.full((40 + number,), float(number)) for number in range(12)}
    file = save(tmp_path / "whole.pth", HOLDERS["official"](state))
    content, named = file.read_bytes(), set()
    for length in range(5, len(content), 97):
        (tmp_path / "cut.pth").write_bytes(content[:length])
        with pytest.raises(DmpelError, match=r"is truncated: .*; copy it again") as error:
            read_state(tmp_path / "cut.pth")
        named |= {name for name in state if repr(name) in str(error.value)}
    assert named == set(state)


def test_the_first_lost_tensor_is_right(tmp_path: Path) -> None:
    state = {name: torch.full((1000,), value) for name, value in (("a", 1.0), ("b", 2.0), ("c", 3.0))}
    content = save(tmp_path / "whole.pth", state).read_bytes()
    middle = content.index(struct.pack("<f", 2.0) * 1000) + 100
    (tmp_path / "cut.pth").write_bytes(content[:middle])
    with pytest.raises(DmpelError, match=r"tensor 'b' needs 4000 bytes, the file has 100"):
        read_state(tmp_path / "cut.pth")


@pytest.mark.parametrize("cut", [1, 3000, 5000, 9000])
def test_a_cut_legacy_file_names_the_tensor(tmp_path: Path, cut: int) -> None:
    state = {name: torch.zeros(1000) for name in "abc"}
    content = save(tmp_path / "whole.pth", state, legacy=True).read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[:-cut])
    with pytest.raises(DmpelError, match=r"is truncated: tensor '[abc]' needs 4000 bytes, the file has "):
        read_state(tmp_path / "cut.pth")


def repack(path: Path, changes: dict[str, bytes | None], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write an archive again with some records changed or left out."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in (records | {f"{path.stem}/{name}": content for name, content in changes.items()}).items():
            if content is not None:
                archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data/0": bytes(12)}, r"tensor 'weight' needs 60 bytes, the file has 12"),
        ({"data/0": None}, r"tensor 'weight' needs 60 bytes, the file has none"),
        ({"data.pkl": None}, "archive that torch.save did not write"),
        ({"byteorder": b"big"}, "big-endian"),
    ],
)
def test_a_damaged_archive_is_refused(tmp_path: Path, changes: dict[str, bytes | None], words: str) -> None:
    with pytest.raises(DmpelError, match=words):
        read_state(repack(save(tmp_path / "file.pth", example()), changes))


def test_a_changed_byte_names_the_tensor(tmp_path: Path) -> None:
    content = bytearray(save(tmp_path / "file.pth", {"a": torch.full((100,), 1.5), "b": torch.full((100,), 2.5)}).read_bytes())
    content[content.index(struct.pack("<f", 2.5)) + 2] ^= 1
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(DmpelError, match="numbers of tensor 'b' are damaged"):
        read_state(tmp_path / "file.pth")


def test_a_compressed_archive_is_refused_before_it_can_grow(tmp_path: Path) -> None:
    with pytest.raises(DmpelError, match="nothing compressed"):
        read_state(repack(save(tmp_path / "file.pth", example()), {}, zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02.", b"PK\x03\x04"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(DmpelError):
        read_state(tmp_path / "file.pth")
    with pytest.raises(DmpelError, match="cannot be read"):
        read_state(tmp_path / "nowhere.pth")
