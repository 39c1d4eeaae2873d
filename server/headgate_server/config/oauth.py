"""Reads the settings in `[auth.oauth.NAME]`: the providers that people sign in by.

The options have the names of Grafana's and Pyroscope's sections, such as `[auth.github]`, with `-`
or `_` between words. These sections are read as providers of that name, too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from headgate_engine import LinkPolicy
from headgate_server.config.jwt import JwtSettings, canonical_key, read_jwt_settings
from headgate_server.config.option_fields import option, read_table

Kind = Literal["oidc", "google", "gitlab", "azuread", "okta", "github", "oauth2"]
KINDS: tuple[Kind, ...] = ("oidc", "google", "gitlab", "azuread", "okta", "github", "oauth2")
# Names of sections of Grafana and Pyroscope, with the kind of provider that each configures.
FOREIGN_SECTIONS: Mapping[str, Kind | None] = {
    "google": "google",
    "github": "github",
    "gitlab": "gitlab",
    "azuread": "azuread",
    "okta": "okta",
    "grafana-com": "oauth2",
    "generic-oauth": None,  # `oidc` with an issuer, else `oauth2`
}
# The first word of paths below /auth that forward authentication and passwords use.
_RESERVED_NAMES = frozenset({"nginx", "traefik", "caddy", "envoy", "password"})
_NAME = re.compile("[a-z0-9-]{1,32}")
_ALIASES = {
    "name": "title",
    "auto-sign-up": "allow-sign-up",
    "auth-uri": "auth-url",
    "token-uri": "token-url",
    "api-uri": "api-url",
}
# Options of `[auth.jwt]` with the same meaning here. They are applied to the joined object of ID
# token and user information.
RIGHTS_OPTIONS = frozenset(
    {
        *("role-attribute-path", "role-attribute-strict", "allow-assign-admin"),
        *("databases-attribute-path", "db-mapping", "grants-attribute-path"),
        *("auto-assign-databases", "auto-assign-privilege", "grant-sync", "skip-org-role-sync"),
    }
)
_ISSUERS = {"google": "https://accounts.google.com", "gitlab": "https://gitlab.com"}
_GITHUB = {
    "auth_url": "https://github.com/login/oauth/authorize",
    "token_url": "https://github.com/login/oauth/access_token",
    "api_url": "https://api.github.com",
}
_SCOPES: Mapping[str, tuple[str, ...]] = {
    "github": ("read:user", "user:email", "read:org"),
    "gitlab": ("openid", "email", "profile", "read_api"),
    "oauth2": (),
}
_DEFAULT_SCOPES = ("openid", "email", "profile")


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """The settings of one provider. *name* is its name in URLs, and in the names of sections.

    Fields that end in `_path` are JMESPath expressions on the claims. *rights* has the options of
    RIGHTS_OPTIONS.
    """

    name: str = ""
    enabled: bool = option("Offer this provider", True)
    kind: str = option(
        "`oidc`, `google`, `gitlab`, `azuread`, `okta`, `github` or `oauth2`", "", among=KINDS
    )
    title: str = option("Name on the sign-in page", "", default_doc="NAME")
    client_id: str = option("Id of the client that the provider knows Headgate as", "")
    client_secret: str = option(
        "Secret of the client", "", secret=True, file_doc="File of the secret"
    )
    issuer: str = option("URL of the OpenID provider", "", default_doc="by kind")
    auth_url: str = option("Authorization endpoint", "", default_doc="discovery")
    token_url: str = option("Token endpoint", "", default_doc="discovery")
    api_url: str = option(
        "User information; for `github` and `gitlab` the base of the API", "", default_doc="by kind"
    )
    redirect_url: str = option(
        "Callback that the provider knows", "", default_doc="`{base-url}/login/NAME/callback`"
    )
    scopes: tuple[str, ...] = option("Scopes that are asked for", (), default_doc="by kind")
    allow_sign_up: bool = option("Create a user for a new identity", False)
    adopt_existing: LinkPolicy = option(
        "Existing users that a new identity may take over by their name: `none`, `non_admin`,"
        " `any`",
        "none",
        among=("none", "non_admin", "any"),
    )
    name_suffix: str = option("Is appended to the name of a new user, such as `@github`", "")
    sync_profile: bool = option("Take the verified address and the name at each sign-in", True)
    allowed_domains: tuple[str, ...] = option("Domains of verified addresses; none: all", ())
    allowed_organizations: tuple[str, ...] = option("Organizations of which one is needed", ())
    allowed_groups: tuple[str, ...] = option("Groups of which one is needed", ())
    team_ids: tuple[str, ...] = option("GitHub's numbers of teams of which one is needed", ())
    validate_hd: bool = option("Google: the claim `hd` must be in `allowed-domains`", True)
    login_attribute_path: str = option("JMESPath of the user name", "", default_doc="by kind")
    email_attribute_path: str = option("JMESPath of the address", "", default_doc="`email`")
    name_attribute_path: str = option("JMESPath of the full name", "", default_doc="`name`")
    email_verified_attribute_path: str = option(
        "JMESPath of whether the address is verified", "", default_doc="by kind"
    )
    subject_attribute_path: str = option(
        "JMESPath of the account's id, for `oauth2`", "", default_doc="`id`, else `sub`"
    )
    admin_subjects: tuple[str, ...] = option("Ids of accounts that get the admin flag", ())
    auto_login: bool = option("The sign-in page leads to this provider at once", False)
    login_prompt: str = option("Parameter `prompt`, such as `select_account`", "")
    signout_redirect_url: str = option("Address after the sign-out", "")
    single_logout: bool = option("The sign-out ends the session at the provider, too", False)
    use_refresh_token: bool = option("Ask the provider again when its access ends", False)
    refresh_stale_if_error: float = option(
        "Time that a session lasts while the provider does not answer", 300.0
    )
    session_ends_with_token: bool = option("The session ends with the ID token", False)
    required_acr: tuple[str, ...] = option("Values of `acr` of which one is needed", ())
    use_pkce: bool = option("PKCE (RFC 7636); `false` only for `oauth2` and `github`", True)
    auth_style: str = option(
        "How the client shows its secret: `auto`, `in_header`, `in_params`",
        "auto",
        among=("auto", "in_header", "in_params"),
    )
    tls_client_ca: str = option("PEM file of the provider's certificate authority", "")
    tls_client_cert: str = option("PEM file of a certificate that the client shows", "")
    tls_client_key: str = option("PEM file of its key", "")
    allow_insecure_urls: bool = option("Accept `http`, for tests", False)
    rights: JwtSettings = JwtSettings()

    @property
    def is_openid(self) -> bool:
        """Whether the provider sends ID tokens."""
        return self.kind not in ("github", "oauth2")

    @property
    def identity_issuer(self) -> str:
        """The issuer in the identities of this provider's accounts."""
        if self.kind == "oauth2":
            return f"oauth2:{self.name}"
        if self.kind == "github":
            own_host = self.api_url.removesuffix("/api/v3").rstrip("/")
            return "https://github.com" if own_host == _GITHUB["api_url"] else own_host
        return self.issuer

    @property
    def restricts_access(self) -> bool:
        """Whether not every account of the provider may sign in."""
        return bool(
            self.allowed_domains
            or self.allowed_organizations
            or self.allowed_groups
            or self.team_ids
        )


def read_oauth_settings(table: Mapping[str, Any]) -> tuple[OAuthSettings, ...]:
    """Returns the settings of the providers in the TOML *table*, by name.

    Raises ValueError for an invalid setting: one line that begins with the provider and option.
    """
    found = []
    for name, options in table.items():
        if not isinstance(options, Mapping):
            raise ValueError(f"{name}: expected a section [auth.oauth.NAME]")
        dashed = name.replace("_", "-")
        if not _NAME.fullmatch(dashed) or dashed in _RESERVED_NAMES:
            raise ValueError(
                f"{name!r}: expected another name: at most 32 of a-z, 0-9 and -, and none of"
                f" {', '.join(sorted(_RESERVED_NAMES))}"
            )
        try:
            found.append(_read(dashed, options))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return tuple(found)


def foreign_providers(table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the sections of Grafana and Pyroscope in *table*, the content of `[auth]`.

    The result has Headgate's form: the options of each provider by its name. As in Grafana, such a
    provider is disabled unless it has `enabled = true`.
    """
    found = {}
    for section, options in table.items():
        name = section.replace("_", "-")
        if name in FOREIGN_SECTIONS and isinstance(options, Mapping):
            found[name] = {"enabled": False, **options}
    return found


def canonical_oauth_key(key: str) -> str:
    """Returns the name of the option that *key* sets: *key* may have `_`, or be another's name."""
    dashed = canonical_key(key)
    dashed = "databases-attribute-path" if dashed == "groups-attribute-path" else dashed
    return _ALIASES.get(dashed, dashed)


def _read(name: str, options: Mapping[str, Any]) -> OAuthSettings:
    given: dict[str, Any] = {}
    for key, value in options.items():
        canonical = canonical_oauth_key(key)
        if canonical in given:
            raise ValueError(f"{key}: {canonical} is set twice")
        given[canonical] = value
    if given.pop("tls-skip-verify-insecure", False):
        raise ValueError(
            "tls-skip-verify-insecure: certificates are always verified: set tls-client-ca"
        )
    rights = {key: given.pop(key) for key in RIGHTS_OPTIONS & given.keys()}
    settings = OAuthSettings(
        name=name, rights=read_jwt_settings(rights), **read_table(OAuthSettings, given)
    )
    kind = settings.kind or FOREIGN_SECTIONS.get(name) or ("oidc" if settings.issuer else "oauth2")
    settings = replace(settings, kind=kind, title=settings.title or name)
    if kind == "github":
        settings = replace(
            settings,
            auth_url=settings.auth_url or _GITHUB["auth_url"],
            token_url=settings.token_url or _GITHUB["token_url"],
            api_url=settings.api_url or _GITHUB["api_url"],
        )
    return replace(
        settings,
        issuer=settings.issuer or _ISSUERS.get(kind, ""),
        scopes=settings.scopes or _SCOPES.get(kind, _DEFAULT_SCOPES),
    )
