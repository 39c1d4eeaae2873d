"""Checks of the options of an upstream store that depend on its kind."""

import re
from collections.abc import Iterable

from headgate_server.config.gateway import UpstreamSettings


def check_unsupported(settings: UpstreamSettings, names: Iterable[str]) -> None:
    """Raises ValueError if an option that this kind of store does not support is set.

    *names* are the fields of *settings* for these options.
    """
    unset = UpstreamSettings(settings.name, settings.protocol)
    for name in names:
        if getattr(settings, name) != getattr(unset, name):
            raise ValueError(f"{name.replace('_', '-')}: {settings.protocol} has none")


def check_tenants(
    settings: UpstreamSettings,
    pattern: re.Pattern[str],
    example: str,
    components: tuple[str, ...],
) -> None:
    """Raises ValueError for a tenant that *pattern* does not match, or an unknown component.

    *example* describes valid tenants in the error's text. *components* are the components that this
    kind of store has.
    """
    if any(pattern.fullmatch(tenant) is None for tenant in settings.tenants.values()):
        raise ValueError(f"tenants: expected {example}")
    for component in settings.components:
        if component not in components:
            raise ValueError(f"components: {component}: expected one of {', '.join(components)}")
