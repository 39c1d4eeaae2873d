"""Keys that verify tokens, read from PEM or a JWK set. Uses PyJWT and cryptography.

The type of a key determines its algorithms. A token's `alg` only selects one of these algorithms,
so that a public key is never used as an HMAC secret.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey, Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms
from jwt.exceptions import PyJWTError

from headgate_server.auth.jwt.token_parser import ParsedToken

_ALGORITHMS = get_default_algorithms()
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_HMAC = frozenset({"HS256", "HS384", "HS512"})
_EC = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
SUPPORTED = _RSA | _HMAC | frozenset(_EC.values()) | {"EdDSA"}
# Errors of the libraries for invalid members of a JWK.
_JWK_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ArithmeticError,
    UnsupportedAlgorithm,
)
_MIN_RSA_BITS = 2048


class UnusableKey(Exception):
    """The key cannot verify signatures. The text is one line, and contains no part of the key."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that verifies signatures by *algorithms*, such as RS256.

    *kid* is the key's ID, or None. *material* is the bytes of an HMAC secret, or a public key
    object of the library cryptography.
    """

    kid: str | None
    algorithms: frozenset[str]
    material: Any = field(repr=False)

    def verifies(self, token: ParsedToken, *, padded: bool = False) -> bool:
        """Returns whether this key signed *token*.

        Some issuers sign the header and the claims with the padding (`=`) of their base64url. If
        *padded* is True, the signature must cover the text with its padding.
        """
        if token.algorithm not in self.algorithms:
            return False
        signed = token.padded if padded else token.signed
        algorithm = _ALGORITHMS[token.algorithm]
        return bool(algorithm.verify(signed, self.material, token.signature))


Keys = Sequence[Key]


def candidates(keys: Keys, kid: str | None) -> list[Key]:
    """Returns those of *keys* that may have signed a token with the key ID *kid*.

    These are the keys with the same ID. For a token without a key ID, *kid* is None: returns the
    only key, or the keys without an ID if there are several keys.
    """
    if kid is None and len(keys) == 1:
        return list(keys)
    return [key for key in keys if key.kid == kid]


def from_pem(text: bytes, kid: str | None) -> Key:
    """Returns the first key in the PEM *text*. Raises UnusableKey if no key is usable.

    *text* has a public key (PKIX, PKCS#1) or a private key (PKCS#1, PKCS#8, SEC 1). Of a private
    key, only the public half is kept.
    """
    for load in (load_pem_public_key, _load_private):
        try:
            return _key(load(text), kid)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
    raise UnusableKey("no public or private key in PEM")


def _load_private(text: bytes) -> Any:
    return load_pem_private_key(text, None)


def from_jwks(text: str | bytes) -> Keys:
    """Returns those keys of a JWK set (RFC 7517) that can verify signatures.

    Skips keys for other purposes, and invalid keys. Raises UnusableKey for an invalid JWK set.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise UnusableKey("not JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise UnusableKey("not a JWK set")
    return list(_usable(entries))


def _usable(entries: Iterable[Any]) -> Iterable[Key]:
    for entry in entries:
        if not isinstance(entry, dict) or not _is_for_signatures(entry):
            continue
        kid = entry.get("kid")
        try:
            key = _key(_from_jwk(entry), kid if isinstance(kid, str) else None)
        except (UnusableKey, PyJWTError, *_JWK_ERRORS):
            continue
        bound = entry.get("alg")
        if bound is None:
            yield key
        elif isinstance(bound, str) and bound in key.algorithms:
            yield Key(key.kid, frozenset({bound}), key.material)


def _is_for_signatures(entry: dict[str, Any]) -> bool:
    """Returns whether a JWK is for signatures.

    Returns False if its member `key_ops` or `use` names other purposes only.
    """
    operations = entry.get("key_ops", ["verify"])
    fit = isinstance(operations, list) and "verify" in operations
    return fit and entry.get("use", "sig") == "sig"


def _from_jwk(entry: dict[str, Any]) -> Any:
    match entry.get("kty"):
        case "RSA":
            return RSAAlgorithm.from_jwk(entry)
        case "EC":
            return ECAlgorithm.from_jwk(entry)
        case "OKP":
            return OKPAlgorithm.from_jwk(entry)
        case "oct":
            return _ALGORITHMS["HS256"].from_jwk(entry)
        case _:
            raise UnusableKey("unknown kty")


def _key(material: Any, kid: str | None) -> Key:
    """Returns a `Key` with the algorithms that the type of *material* determines.

    Of a private key, only the public half is kept. Raises UnusableKey for an RSA key of fewer than
    2048 bits, an empty secret, or an unsupported type.
    """
    if isinstance(
        material, RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey
    ):
        material = material.public_key()
    match material:
        case RSAPublicKey():
            if material.key_size < _MIN_RSA_BITS:
                raise UnusableKey(f"an RSA key of fewer than {_MIN_RSA_BITS} bits")
            return Key(kid, _RSA, material)
        case EllipticCurvePublicKey() if material.curve.name in _EC:
            return Key(kid, frozenset({_EC[material.curve.name]}), material)
        case Ed25519PublicKey() | Ed448PublicKey():
            return Key(kid, frozenset({"EdDSA"}), material)
        case bytes() if material:
            return Key(kid, _HMAC, material)
        case _:
            raise UnusableKey("a key of a type that cannot sign tokens")
