"""All settings of a server, with their types, default values and names in the file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate_engine import BCRYPT_COST, KEEP_LAST_ADMIN, MIN_PASSWORD_LENGTH, PositionSlot
from headgate_server.config.anonymous import AnonymousSettings, BasicSettings
from headgate_server.config.auth_proxy import ProxySettings
from headgate_server.config.gateway import GatewaySettings
from headgate_server.config.jwt import JwtSettings
from headgate_server.config.ldap import LdapSettings
from headgate_server.config.oauth import OAuthSettings
from headgate_server.config.option_fields import OptionType, option
from headgate_server.config.role_words import protected_roles, role_word
from headgate_server.config.store_settings import StoreSettings
from headgate_server.config.values import word

# Defaults of the throttle: the number of failed logins without a delay, for each user and for each
# address, and the longest delay.
FREE_FAILURES = 5
FREE_FAILURES_PER_ADDRESS = 20
MAX_DELAY_SECONDS = 60.0

DEFAULT_COOKIE_NAME = "headgate_session"


@dataclass(frozen=True, slots=True)
class SettingsSource:
    """The sources of settings: *flags*, by key, and *path*, the configuration file.

    *path* is None without a file. A reload reads the settings again from these flags, this file
    and the environment.
    """

    flags: Mapping[str, Any] = field(default_factory=dict, repr=False)
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Settings(StoreSettings):
    """The settings of one server. Sizes are bytes, times are seconds; a limit of 0: no limit."""

    bcrypt_cost: int = option(
        "4 to 14; a cheaper hash is replaced at the next successful login",
        BCRYPT_COST,
        section="auth",
        least=4,
        most=14,
    )
    password_min_length: int = option(
        "Characters that a new password needs, at most 72",
        MIN_PASSWORD_LENGTH,
        section="auth",
        most=72,
    )
    free_failures: int = option(
        "Failed logins of a user from one address before throttling", FREE_FAILURES, section="auth"
    )
    free_failures_address: int = option(
        "Failed logins of all users from one address before throttling (note 5)",
        FREE_FAILURES_PER_ADDRESS,
        section="auth",
    )
    longest_delay: float = option(
        "Maximum delay of a login (note 6); `0s` disables throttling",
        MAX_DELAY_SECONDS,
        section="auth",
    )
    throttle_status: int = option(
        "Status of a throttled login, `401` or `429` (note 7)",
        401,
        section="auth",
        among=(401, 429),
    )
    open_setup: bool = option(
        "`true`: the first query from any address may create the administrator",
        False,
        section="auth",
    )
    setup_token: str = field(default="", repr=False)  # made at startup, the same for all workers
    keep_last_admin: bool = option(
        "`false`: the last administrator can be dropped, as in InfluxDB",
        KEEP_LAST_ADMIN,
        section="auth",
    )
    password_change_ends_tokens: bool = option(
        "A new password ends tokens of the shared secret that were issued before it",
        True,
        section="auth",
    )
    user_keys: bool = option("Users may make API keys for themselves", True, section="auth")
    max_keys_per_user: int = option(
        "API keys of a user that are not revoked", 100, section="auth", least=1, most=100_000
    )
    api_key_max_seconds_to_live: int = option(
        "Longest lifetime of a new API key, in seconds; -1: no limit",
        -1,
        section="auth",
        least=-1,
    )
    login_cookie_name: str = option(
        "Name of the sessions' cookie (note 9)", DEFAULT_COOKIE_NAME, section="auth", header=True
    )
    login_maximum_inactive_lifetime_duration: float = option(
        "Time after which an unused session ends", 7 * 86_400.0, section="auth"
    )
    login_maximum_lifetime_duration: float = option(
        "Time after which a session ends; `0s`: no limit", 30 * 86_400.0, section="auth"
    )
    token_rotation_interval_minutes: int = option(
        "Age at which a session's cookie is replaced", 10, section="auth", least=1, most=1440
    )
    max_sessions_per_user: int = option(
        "Sessions of a user; the oldest end; 0: no limit", 0, section="auth", most=100_000
    )
    cookie_samesite: str = option(
        "`lax`, `strict` or `none` (needs `cookie-secure`)",
        "lax",
        section="auth",
        among=("lax", "strict", "none"),
        reader=word,
    )
    cookie_secure: str = option(
        "`true`: the cookie is for HTTPS only; `auto`: as the request came",
        "auto",
        section="auth",
        among=("auto", "true", "false"),
        reader=word,
    )
    signup_enabled: bool = option("People may create accounts at `/signup`", False, section="auth")
    signup_default_role: str = option(
        "Role of a new account: `ReadOnly`, `Agent`, `Editor`, `Admin` or `None` (note 13)",
        "ReadOnly",
        section="auth",
        among=("ReadOnly", "Viewer", "Agent", "Editor", "Admin", "None"),
        reader=role_word,
    )
    signup_databases: tuple[str, ...] = option(
        "Databases that the role of a new account is for; `*`: all", (), section="auth"
    )
    signup_require_approval: bool = option(
        "An administrator approves each account", True, section="auth"
    )
    signup_max_pending: int = option(
        "Accounts that wait for approval", 100, section="auth", least=1, most=100_000
    )
    signup_limit: int = option(
        "Accounts that an address may create in an hour", 5, section="auth", least=1
    )
    signup_limit_total: int = option(
        "Accounts that are created in a day", 100, section="auth", least=1
    )
    signup_allow_admin: bool = option(
        "`true`: `signup-default-role` may be `Admin`", False, section="auth"
    )
    role_databases: tuple[str, ...] = option(
        "Databases that a role is for, if the request names none; `*`: all", ("*",), section="auth"
    )
    external_passwords: bool = option(
        "Users that come in by a provider may be given a password", False, section="auth"
    )
    oauth_allow_insecure_email_lookup: bool = option(
        "A new identity takes over the user with its verified address (note 13)",
        False,
        section="auth",
    )
    oauth_auto_login: bool = option(
        "The sign-in page leads to the only provider at once", False, section="auth"
    )
    signout_redirect_url: str = option("Address after a sign-out", "", section="auth")
    disable_signout_menu: bool = option("Hide the sign-out in the console", False, section="auth")
    disable_login_form: bool = option(
        "The sign-in page offers providers alone", False, section="auth"
    )
    disable_login: bool = option(
        "`disable-login-form`, and no passwords as `[auth.basic]`", False, section="auth"
    )
    protected_roles: tuple[str, ...] | None = option(
        "Users that no identity takes over: `admins`, `writers`, `readers`, `all` (note 13)",
        None,
        section="auth",
        among=("admins", "writers", "readers", "all"),
        reader=protected_roles,
        type=OptionType.LIST,
        default_doc="`admins`",
    )
    max_login_attempts: int = option(
        "Wrong passwords of a name in 5 minutes before all are refused; 0: no limit (note 14)",
        0,
        section="auth",
        most=1000,
    )
    secret_key_file: str = option(
        "File of the keys that seal tokens of providers",
        "",
        section="auth",
        default_doc="`<store>.key`, or `headgate.key` with a URL",
    )
    cookie_on_gateway: bool = option(
        "A session's cookie counts for upstream stores and on `/auth`, too", False, section="auth"
    )
    console_enabled: str = option(
        "Serve `/console`; `auto`: by HTTPS, or on this machine alone",
        "auto",
        key="enabled",
        section="console",
        among=("auto", "true", "false"),
        reader=word,
    )
    console_title: str = option(
        "Name in the console's pages", "Headgate", key="title", section="console"
    )
    console_page_size: int = option(
        "Users and other rows on a page", 50, key="page-size", section="console", least=1, most=500
    )
    console_databases_shown: int = option(
        "Databases in a table of users and databases",
        20,
        key="databases-shown",
        section="console",
        least=1,
        most=200,
    )
    audit_file: str = option(
        "Also writes the audit here, one JSON object a line (note 8)",
        "",
        section="audit",
        key="file",
    )
    audit_retention: float = option(
        "Age at which audit records leave the store; `0s`: never",
        365 * 86_400.0,
        section="audit",
        key="retention",
    )
    jwt: JwtSettings = JwtSettings()
    oauth: tuple[OAuthSettings, ...] = ()
    proxy: ProxySettings = ProxySettings()
    anonymous: AnonymousSettings = AnonymousSettings()
    basic: BasicSettings = BasicSettings()
    ldap: LdapSettings = LdapSettings()
    gateway: GatewaySettings = GatewaySettings()
    # This worker's among those of this machine, if they use a store at a URL.
    position_slot: PositionSlot | None = field(default=None, repr=False, compare=False)
    source: SettingsSource = field(default_factory=SettingsSource, repr=False, compare=False)

    def needs_sign_in_pages(self) -> bool:
        """Returns whether people need the pages of sign-ins, also without the console."""
        return self.signup_enabled or any(provider.enabled for provider in self.oauth)

    @property
    def free_login_failures(self) -> tuple[int, int]:
        """How many logins may fail without a delay: of a user at an address, and of an address."""
        return self.free_failures, self.free_failures_address

    def growing_files(self) -> list[str]:
        """Returns the files of this machine that each audit record makes longer."""
        store = "" if self.is_store_shared else self.store_path
        return [path for path in (store, self.audit_file) if path]

    def sealing_key_file(self) -> str:
        """Returns the file of the keys that seal tokens of providers and codes of sign-ins."""
        beside = "headgate.key" if self.is_store_shared else f"{self.store_path}.key"
        return self.secret_key_file or beside

    def offers_login_form(self) -> bool:
        """Returns whether people may sign in by a password on the sign-in page."""
        return self.basic.enabled and not (self.disable_login_form or self.disable_login)

    def serves_console(self) -> bool:
        """Returns whether `/console` is served."""
        if self.console_enabled == "auto":
            return not self.is_exposed()
        return self.console_enabled == "true"
