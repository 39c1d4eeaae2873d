"""Builds a case of the JWT tests from its JSON: keys, key servers, configuration and tokens."""

import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from headgate_server import Settings, configure
from headgate_server.auth.jwt.keys import SUPPORTED
from support import made_tokens as made
from support.key_server import KeyServer, Said

Case = dict[str, Any]


class Clock:
    """Both clocks of the server, *ahead* seconds fast, so that tests need not wait."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def wall(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


class World:
    """The keys, key sources and configuration of *case*.

    *baseline* has the configuration options that *case* may override.
    """

    def __init__(
        self, baseline: Case, case: Case, folder: Path, clock: Clock, authority: trustme.CA
    ) -> None:
        self.options = baseline | case.get("config", {})
        self.case, self.folder, self.clock = case, folder, clock
        self.kept: dict[str, str] = {}
        self.key_server: KeyServer | None = None
        self._authority = authority
        self.attacker = KeyServer([Said(404)])
        self.path = folder / "headgate.toml"

    def key(self, name: Any) -> Any:
        """Returns the key named *name* in the case. If *name* is a dict, it describes the key.

        Returns None if *name* is None.
        """
        if name is None:
            return None
        spec = name if isinstance(name, dict) else self.case["keys"][name]
        if "text" in spec:
            return spec["text"].encode()
        if self.secret == name:
            # The configuration file holds the secret as text.
            return made.key(str(name), "oct", str(spec["bytes"])).hex()[: spec["bytes"]].encode()
        detail = spec.get("bits") or spec.get("crv") or spec.get("bytes") or 32
        return made.key(str(name), spec["type"], str(detail))

    @property
    def secret(self) -> str | None:
        """Name of the key that is the shared secret, or None."""
        source = self.case["keysource"]
        if isinstance(source, dict) and source["kind"] == "shared_secret":
            return str(source["key"])
        name: str | None = self.case.get("config", {}).get("shared_secret_key")
        return name

    def jwks(self, entries: list[Case]) -> str:
        """Returns a JWK set in JSON; other members of an entry than `key` are copied to its JWK."""
        keys = [
            made.jwk(self.key(one["key"]), **{name: one[name] for name in one if name != "key"})
            for one in entries
        ]
        return json.dumps({"keys": keys})

    def sources(self) -> Iterator[tuple[str, str]]:
        """Yields name and value of each configuration option for key files and JWK sets."""
        given = self.case["keysource"]
        for source in given if isinstance(given, list) else [given]:
            match source["kind"]:
                case "key_file":
                    yield (
                        "key-file",
                        source.get("path")
                        or self.file(
                            source.get("content")
                            or made.pem(self.key(source["key"]), source["pem"])
                        ),
                    )
                case "jwk_set_file":
                    yield "jwk-set-file", self.file(self.jwks(source["jwks"]))
                case "jwk_set_url" if "url" in source:
                    yield "jwk-set-url", source["url"]
                case "jwk_set_url":
                    yield from self.serve_keys(source)

    def serve_keys(self, source: Case) -> Iterator[tuple[str, str]]:
        """Starts the key server of *source*, and yields the options that refer to it."""
        tls = None
        if source["scheme"] == "https":
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert("localhost").configure_cert(tls)
            if "tls_client_ca" not in self.case.get("config", {}):
                yield "tls-client-ca", self.file(self._authority.cert_pem.bytes().decode())
        said = [self.said(entry) for entry in source["script"]]
        self.key_server = KeyServer(said, tls, stays=source.get("advance") == "manual").__enter__()
        yield "jwk-set-url", self.key_server.url

    def said(self, entry: Case) -> Said:
        """Returns the response of the key server that *entry* describes."""
        body = entry["body"] if "body" in entry else self.jwks(entry["jwks"])
        return Said(
            entry["status"],
            body.encode().ljust(entry.get("size", 0)),
            entry.get("headers", {}),
            entry.get("delay_ms", 0) / 1000,
        )

    def file(self, text: str) -> str:
        """Writes *text* to a new file and returns its path."""
        path = self.folder / f"file{len(list(self.folder.iterdir()))}"
        path.write_text(text)
        return str(path)

    def configuration(self, **more: Any) -> Settings:
        """Writes the configuration file of the case, with *more* options; returns its settings."""
        options = self.options | more
        http: dict[str, Any] = {}
        options.pop("shared_secret_key", None)
        if self.secret is not None:
            http["shared-secret"] = self.key(self.secret).decode()
        if "shared_secret" in options:
            http["shared-secret"] = options.pop("shared_secret")
        if options.pop("enforce_strong_secret", False):
            http["enforce-strong-secret"] = True
        if options.pop("env") == "development":
            options["allow-insecure-jwk-set-url"] = True
        options["grant-sync"] = "off" if options.pop("skip_grant_sync") else "persist"
        if options["algorithms"] == "by-key-type":
            options["algorithms"] = []
        if not self.path.exists():
            self.given = dict(self.sources())
        lines = ["[http]", *toml(http), "[store]", *toml({"path": str(self.folder / "users.db")})]
        lines += ["[auth]", "bcrypt-cost = 4", "[auth.jwt]"]
        lines += toml({key: self.filled(value) for key, value in options.items()} | self.given)
        self.path.write_text("\n".join(lines))
        return configure({}, {}, str(self.path)).settings

    def filled(self, value: Any) -> Any:
        """Returns *value*, or a path for `{"$file": TEXT}` and `{"$missing_file": ...}`."""
        if isinstance(value, dict) and "$file" in value:
            return self.file(value["$file"])
        if isinstance(value, dict) and "$missing_file" in value:
            return str(self.folder / "nowhere")
        return value

    def close(self) -> None:
        if self.key_server is not None:
            self.key_server.__exit__()


def toml(values: dict[str, Any]) -> list[str]:
    """Returns a line of TOML for each of *values*, with `-` for `_` in its name."""
    return [f"{name.replace('_', '-')} = {json.dumps(value)}" for name, value in values.items()]


def token(spec: Case, world: World, index: int, kind: str) -> str:
    """Returns the token that *spec* describes, or "" if *spec* is empty.

    *kind* names a malformation, such as `flip-signature-bit`. *index* replaces `$i` in the header.
    """
    if not spec:
        return ""
    if "key" not in spec and "reuse" in spec:
        return world.kept[spec["reuse"]]
    key = world.key(spec.get("key"))
    if "hmac_with" in spec:
        form, _, name = spec["hmac_with"].partition(":")
        encoding = Encoding.PEM if form.startswith("pem") else Encoding.DER
        public = world.key(name).public_key()
        key = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    claims: Any = resolved(spec.get("claims", {}), world)
    if "claims_raw" in spec:
        claims = spec["claims_raw"]
    if "claims_generate" in spec:
        claims |= {"pad": "x" * spec["claims_generate"]["pad_bytes"]}
    header = {
        name: value.replace("$i", str(index)).replace("$ATTACKER_URL", world.attacker.url)
        if isinstance(value, str)
        else value
        for name, value in spec.get("header", {}).items()
    }
    algorithm = spec.get("alg", "RS256")
    if algorithm not in SUPPORTED:
        key = None  # `none`, or an algorithm that does not exist
    text = made.token(key, claims, algorithm, header, padded=kind == "sign-over-padded")
    if kind.startswith("pad"):
        text = ".".join(part + "=" * int(kind[3:]) for part in text.split("."))
    if kind == "flip-signature-bit":
        flipped = "B" if text[-20] != "B" else "C"
        text = text[:-20] + flipped + text[-19:]
    if "reuse" in spec:
        world.kept[spec["reuse"]] = text
    return text


def resolved(value: Any, world: World) -> Any:
    """Returns *value* with each `{"$now": SECONDS}` replaced by the time in SECONDS from now."""
    if isinstance(value, dict):
        if "$now" in value:
            return int(world.clock.wall()) + value["$now"]
        return {name: resolved(one, world) for name, one in value.items()}
    if isinstance(value, list):
        return [resolved(one, world) for one in value]
    return value
