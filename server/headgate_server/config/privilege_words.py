"""The words that claims and groups use for privileges: those of InfluxQL, and roles of Grafana."""

from collections.abc import Mapping

from headgate_grammar import Privilege

PRIVILEGE_WORDS: Mapping[str, Privilege] = {
    "NONE": Privilege.NONE,
    "None": Privilege.NONE,
    "READ": Privilege.READ,
    "Viewer": Privilege.READ,
    "WRITE": Privilege.WRITE,
    "ALL": Privilege.ALL,
    "ALL PRIVILEGES": Privilege.ALL,
    "Editor": Privilege.ALL,
    "Admin": Privilege.ALL,
}
