"""Key pairs as `openssl genpkey` and `openssl pkey -pubout` write them."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

PRIVATE = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
PUBLIC = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def make_keys(folder: Path, name: str, *, curve: ec.EllipticCurve | None = None, password: bytes = b"") -> tuple[Path, Path]:
    """Write a private and a public key, Ed25519 unless another curve is asked for."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(curve) if curve else ed25519.Ed25519PrivateKey.generate()
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    private, public = folder / f"{name}.pem", folder / f"{name}-public.pem"
    private.write_bytes(key.private_bytes(*PRIVATE, locked))
    public.write_bytes(key.public_key().public_bytes(*PUBLIC))
    return private, public
