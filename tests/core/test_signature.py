"""Signed generations: what a reader that wants a signature takes, and that it takes nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from dmpel_core import cli
from dmpel_core.experts.library import Library, LibraryError, Limits, keep_graphs, read_library, select_generation
from dmpel_core.experts.signature import read_public_key, sign
from tests.core.keys import make_keys
from tests.core.small_library import make_library, teach

DRAWER, STOVE = "open the drawer", "turn on the stove"


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return make_keys(tmp_path / "keys", "ours")


@pytest.fixture
def limits(keys: tuple[Path, Path]) -> Limits:
    return Limits(signed_by=read_public_key(keys[1]))


@pytest.fixture
def signed(tmp_path: Path, keys: tuple[Path, Path]) -> Library:
    """A library whose generation 2 is signed and whose generation 1 is not."""
    library = teach(teach(make_library(tmp_path / "library"), DRAWER), STOVE, 2)
    sign(library.path, library.manifest, keys[0])
    return library


def test_a_signed_generation_is_read(signed: Library, limits: Limits) -> None:
    assert read_library(signed.path, limits=limits).manifest == signed.manifest


def test_an_unsigned_one_is_not(signed: Library, limits: Limits) -> None:
    with pytest.raises(LibraryError, match=r"generation 1 of .* is not signed.*`dmpel sign`"):
        read_library(signed.path, 1, limits)


def test_another_key_is_refused(signed: Library, tmp_path: Path) -> None:
    _, other = make_keys(tmp_path / "keys", "theirs")
    with pytest.raises(LibraryError, match="signed with another key"):
        read_library(signed.path, limits=Limits(signed_by=read_public_key(other)))


def test_the_signature_of_another_generation_is_refused(signed: Library, limits: Limits) -> None:
    (signed.path / "signatures/0001.sig").write_bytes((signed.path / "signatures/0002.sig").read_bytes())
    with pytest.raises(LibraryError, match=r"0001\.sig"):
        read_library(signed.path, 1, limits)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("manifest.json", lambda data: data.replace(b'"seed": 2', b'"seed": 3')),
        ("manifest.json", lambda data: data.replace(b'"rank": 1', b'"rank": 2')),
        ("manifest.json", lambda data: data.replace(b'"loss": 0.5', b'"loss": 1e999')),
        ("experts/0002-turn-on-the-stove.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
        ("signatures/0002.sig", lambda data: bytes([data[0] ^ 1]) + data[1:]),
        ("signatures/0002.sig", lambda data: data[:-1]),
        ("signatures/0002.sig", lambda data: data + b"\n"),
        ("signatures/0002.sig", lambda data: b""),
    ],
    ids=["where it comes from", "a size", "an endless number", "a weight", "the signature", "shorter", "longer", "empty"],
)
def test_any_changed_byte_is_refused(signed: Library, limits: Limits, file: str, change: Callable[[bytes], bytes]) -> None:
    whole = (signed.path / file).read_bytes()
    (signed.path / file).write_bytes(change(whole))
    with pytest.raises(LibraryError):
        read_library(signed.path, limits=limits)
    (signed.path / file).write_bytes(whole)
    assert read_library(signed.path, limits=limits).generation == 2


def test_what_is_selected_and_left_again_keeps_its_signature(signed: Library, limits: Limits) -> None:
    select_generation(signed.path, 1)
    assert read_library(signed.path, 2, limits).generation == 2
    select_generation(signed.path, 2)
    assert read_library(signed.path, limits=limits).generation == 2


def test_an_export_changes_the_manifest_and_must_be_signed_again(signed: Library, keys: tuple[Path, Path], limits: Limits) -> None:
    exported = keep_graphs(signed.path, {"act": b"onnx"})
    with pytest.raises(LibraryError, match="changed since"):
        read_library(signed.path, limits=limits)
    sign(exported.path, exported.manifest, keys[0])
    assert read_library(signed.path, limits=limits).graphs() == {"act": b"onnx"}


def test_the_commands_sign_and_check(tmp_path: Path, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    library, (private, public) = make_library(tmp_path / "library").path, keys
    assert cli.main(["show", str(library), "--public-key", str(public)]) == 2
    assert "is not signed" in capsys.readouterr().err
    assert cli.main(["sign", str(library), "--key", str(private)]) == 0
    assert "generation 0 with 0 experts is signed by" in capsys.readouterr().out
    assert cli.main(["show", str(library), "--public-key", str(public)]) == 0


def unreadable(folder: Path) -> list[tuple[Path, str]]:
    """Return files that are no public key of ours, with what is said of them."""
    (folder / "text.pem").write_text("no key")
    return [
        (folder / "none.pem", "No such file"),
        (folder / "text.pem", "no public key in PEM"),
        (make_keys(folder, "ours")[0], "no public key in PEM"),  # the private one
        (make_keys(folder, "elliptic", curve=ec.SECP256R1())[1], "no public Ed25519 key"),
    ]


def test_what_is_no_key_is_said(tmp_path: Path, signed: Library) -> None:
    for file, words in unreadable(tmp_path / "keys"):
        with pytest.raises(LibraryError, match=words):
            read_public_key(file)
    locked, public = make_keys(tmp_path / "keys", "locked", password=b"secret")
    for file in (locked, public):
        with pytest.raises(LibraryError, match="no private key in PEM"):
            sign(signed.path, signed.manifest, file)
