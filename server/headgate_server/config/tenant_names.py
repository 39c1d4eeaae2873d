"""The valid names of tenants of upstream stores."""

import re

# Mimir's rule for tenant names, which Loki and Pyroscope share.
TENANT_PATTERN = re.compile(r"[0-9A-Za-z!_.*'()-]{1,150}")
# Names that match TENANT_PATTERN, but that all upstream stores reject.
_RESERVED_TENANTS = frozenset({".", "..", "__mimir_cluster"})
# A tenant of VictoriaMetrics' cluster: `account` or `account:project`.
ACCOUNT_PATTERN = re.compile(r"[0-9]{1,10}(:[0-9]{1,10})?")


def is_tenant(name: str) -> bool:
    """Returns whether *name* is a valid tenant name."""
    return TENANT_PATTERN.fullmatch(name) is not None and name not in _RESERVED_TENANTS
