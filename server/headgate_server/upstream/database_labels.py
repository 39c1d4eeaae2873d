"""The parameters that confine a request for VictoriaMetrics to the labels of a database."""

from collections.abc import Callable
from functools import lru_cache

from headgate_server.http.urlencoded import iterate_pairs
from headgate_server.upstream.query_string import (
    CREDENTIAL_NAMES,
    encode_query,
    rewrite_query,
)

DATABASE_LABEL = "db"
LabelPairs = tuple[tuple[str, str], ...]
# The client's parameters that are left out: credentials, and what may name a database or labels.
DROPPED_PARAMETERS = CREDENTIAL_NAMES | {"db", "extra_label", "extra_filters", "extra_filters[]"}
_DROPPED_FROM_IMPORTS = DROPPED_PARAMETERS | {"format"}


def with_labels(query: bytes, labels: LabelPairs) -> str:
    """Returns the parameters *query*, confined to series with *labels*.

    The client's own `db`, `extra_label` and `extra_filters` are removed. Headgate's own are added.
    """
    own = _encoded_labels(labels)
    others = rewrite_query(query, DROPPED_PARAMETERS, []) if query else ""
    return f"{others}&{own}" if others else own


@lru_cache(1024)
def _encoded_labels(labels: LabelPairs) -> str:
    """Returns the parameters that confine a request to *labels*, encoded."""
    return encode_query(_confining_parameters(labels))


def with_labels_and_columns(query: bytes, labels: LabelPairs, rename: Callable[[str], str]) -> str:
    """Returns *query*, the parameters of a CSV import, confined to *labels*.

    *rename* renames columns for Headgate's own labels in the parameter `format`.
    """
    columns = [(name, rename(value)) for name, value in iterate_pairs(query) if name == "format"]
    fixed = [*columns, *_confining_parameters(labels)]
    return rewrite_query(query, _DROPPED_FROM_IMPORTS, fixed)


def _confining_parameters(labels: LabelPairs) -> list[tuple[str, str]]:
    """Returns the parameters that confine a request to *labels*, with `db` if it is the label."""
    (name, value), *others = labels
    database = [("db", value)] if name == DATABASE_LABEL and not others and value else []
    return [*database, *label_parameters(labels)]


def label_parameters(labels: LabelPairs) -> list[tuple[str, str]]:
    """Returns the parameters that confine a write or a query to *labels*.

    An empty value stands for series without the label.
    """
    return [("extra_label", f"{name}={value}") for name, value in labels]
