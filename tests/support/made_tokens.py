"""Creates keys and tokens for tests with `cryptography` only, independently of the tested code."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

_HASHES: dict[str, Any] = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
_CURVES: dict[str, Any] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}


@cache
def key(name: str, kind: str = "RSA", detail: str = "2048") -> Any:
    """Returns a private key of *kind*, or the bytes of a secret; cached by all arguments.

    *detail* is the size in bits of an RSA key, the curve, or the length of a secret in bytes.
    """
    match kind:
        case "RSA":
            return rsa.generate_private_key(65537, int(detail))
        case "EC":
            return ec.generate_private_key(_CURVES[detail]())
        case "OKP":
            kind_of = ed25519.Ed25519PrivateKey if detail == "Ed25519" else ed448.Ed448PrivateKey
            return kind_of.generate()
        case _:
            return hashlib.shake_256(name.encode()).digest(int(detail))


def coded(data: bytes) -> str:
    """Returns *data* in base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signature(algorithm: str, key: Any, data: bytes) -> bytes:
    """Returns the JWS signature or MAC of *data*."""
    family, size = algorithm[:2], algorithm[2:]
    if family == "HS":
        return hmac.digest(key, data, f"sha{size}")
    if algorithm == "EdDSA":
        return bytes(key.sign(data))
    digest = _HASHES[size]()
    if family == "ES":
        length = (key.curve.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
        return r.to_bytes(length) + s.to_bytes(length)
    if family == "PS":
        salted = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return bytes(key.sign(data, salted, digest))
    return bytes(key.sign(data, padding.PKCS1v15(), digest))


def token(
    key: Any,
    claims: Mapping[str, Any] | str,
    algorithm: str = "RS256",
    header: Mapping[str, Any] | None = None,
    *,
    padded: bool = False,
) -> str:
    """Returns a token signed with *key*, or with an empty signature if *key* is None.

    *claims* may be JSON text, which is used unchanged. `typ` None in *header* omits `typ`. With
    *padded*, header and claims keep their base64 padding.
    """
    head = {"typ": "JWT", "alg": algorithm} | dict(header or {})
    if head["typ"] is None:
        del head["typ"]
    text = claims if isinstance(claims, str) else json.dumps(claims)
    parts = [coded(json.dumps(head).encode()), coded(text.encode())]
    if padded:
        parts = [part + "=" * (-len(part) % 4) for part in parts]
    data = ".".join(parts)
    signed = b"" if key is None else signature(algorithm, key, data.encode())
    return f"{data}.{coded(signed)}"


def pem(key: Any, form: str = "pkix-public") -> str:
    """Returns *key* in PEM: the public key for the forms `...-public`, else the private key."""
    encoding = serialization.Encoding.PEM
    match form:
        case "pkix-public" | "pkcs1-public":
            public = (
                serialization.PublicFormat.SubjectPublicKeyInfo
                if form == "pkix-public"
                else serialization.PublicFormat.PKCS1
            )
            text = key.public_key().public_bytes(encoding, public)
        case _:
            private = (
                serialization.PrivateFormat.PKCS8
                if form == "pkcs8-private"
                else serialization.PrivateFormat.TraditionalOpenSSL
            )
            text = key.private_bytes(encoding, private, serialization.NoEncryption())
    return str(text.decode())


def _number(value: int, length: int = 0) -> str:
    return coded(value.to_bytes(max(length, (value.bit_length() + 7) // 8)))


def jwk(key: Any, **more: str) -> dict[str, str]:
    """Returns a JWK of the public key of *key*, or of the secret *key*, with *more* members."""
    if isinstance(key, bytes):
        return {"kty": "oct", "k": coded(key)} | more
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)} | more
    if isinstance(public, ec.EllipticCurvePublicKey):
        length = (public.curve.key_size + 7) // 8
        point = public.public_numbers()
        curve = next(name for name, kind in _CURVES.items() if kind.name == public.curve.name)
        x, y = _number(point.x, length), _number(point.y, length)
        return {"kty": "EC", "crv": curve, "x": x, "y": y} | more
    raw = public.public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519" if len(raw) == 32 else "Ed448", "x": coded(raw)} | more
