"""A principal without a user in the user store: its privileges last for one request."""

from headgate_engine import Principal, User
from headgate_grammar import Privilege

_PRIVILEGES = {"READ": Privilege.READ, "WRITE": Privilege.WRITE, "ALL": Privilege.ALL}


def transient_principal(name: str, tenants: list[str], privilege: str = "ALL") -> Principal:
    """Returns a principal with *privilege* (READ, WRITE or ALL) on each tenant in *tenants*.

    Its user has the name *name*, and is not in the user store.
    """
    grants = dict.fromkeys(tenants, _PRIVILEGES[privilege])
    return Principal(User("", name, "", False, grants), "tenant", transient=True)
