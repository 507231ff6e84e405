"""Detached signatures of a library's generations, checked offline against one public key.

A manifest names the sha256 of every file of its generation, so a signature of the manifest covers them all. Ed25519
(RFC 8032) with keys in PEM, as `openssl genpkey -algorithm ed25519` makes them; `openssl pkeyutl -verify` can check a
signature without this package. What is checked is the manifest that was read, so nothing can be exchanged in between.

cryptography is imported when a signature is made or asked for, and by nothing else.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

from dmpel_core.experts.manifest import LibraryError, Manifest, to_text
from dmpel_core.experts.storage import read_file, write_file

LENGTH = 64
"""Size of a signature [bytes]."""


def place_of(generation: int) -> str:
    """Return where the signature of a generation lies in its library."""
    return f"signatures/{generation:04d}.sig"


def sign(root: Path, manifest: Manifest, private_key: Path) -> Path:
    """Sign a generation of the library in `root` and return the file with the signature.

    Raises:
        LibraryError: The key is not a private Ed25519 key in PEM.
    """
    write_file(root, place_of(manifest.generation), _read_key(private_key, "private").sign(to_text(manifest)))
    return root / place_of(manifest.generation)


def check_signature(root: Path, manifest: Manifest, public_key: bytes) -> None:
    """Make sure that a manifest of the library in `root` was signed by the owner of a key, 32 bytes as `read_public_key` gives them.

    Raises:
        LibraryError: There is no signature, or it is not of this manifest by this key.
    """
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    what, place = f"generation {manifest.generation} of {root}", place_of(manifest.generation)
    if not (root / place).exists():
        raise LibraryError(f"{what} is not signed, and only signed ones may be used: see `dmpel sign`")
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(read_file(root, place, LENGTH), to_text(manifest))
    except (InvalidSignature, ValueError) as error:  # ValueError: a number that no manifest of ours holds
        raise LibraryError(
            f"{what} does not have the signature that {place} holds: it was changed since, or signed with another key; "
            "copy it again, or look at it and sign it with `dmpel sign`"
        ) from error


def read_public_key(path: Path) -> bytes:
    """Return the 32 bytes of a public key in PEM.

    Raises:
        LibraryError: It is none.
    """
    return _read_key(path, "public").public_bytes_raw()


def _read_key(path: Path, kind: str) -> Any:
    """Return the private or the public Ed25519 key in a file."""
    ed25519 = _ed25519()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    try:
        data = path.read_bytes()
        key = load_pem_public_key(data) if kind == "public" else load_pem_private_key(data, password=None)
    except (OSError, TypeError, ValueError, UnsupportedAlgorithm) as error:  # TypeError: it is encrypted
        raise LibraryError(f"{path} is no {kind} key in PEM that can be read: {error}") from error
    wanted = ed25519.Ed25519PublicKey if kind == "public" else ed25519.Ed25519PrivateKey
    if not isinstance(key, wanted):
        raise LibraryError(f"{path} is no {kind} Ed25519 key: make one with `openssl genpkey -algorithm ed25519`")
    return key


def _ed25519() -> ModuleType:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise LibraryError("signatures need the package cryptography: pip install 'dmpel[sign]'") from error
    return ed25519
