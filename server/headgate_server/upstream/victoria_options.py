"""Checks and defaults of the options for VictoriaMetrics."""

from itertools import combinations

from headgate_server.config.gateway import UpstreamSettings
from headgate_server.config.gateway_values import check_labels
from headgate_server.config.tenant_names import ACCOUNT_PATTERN
from headgate_server.upstream.database_labels import DATABASE_LABEL
from headgate_server.upstream.label_rewriting import LabelRenamer
from headgate_server.upstream.option_checks import check_tenants, check_unsupported

CLUSTER_COMPONENTS = ("insert", "select")


def check_options(settings: UpstreamSettings) -> None:
    """Raises ValueError for an option that VictoriaMetrics, or its cluster, does not support."""
    check_unsupported(settings, ("federation", "tenant_name"))
    if settings.drop_data and settings.components:
        raise ValueError("drop-data: a cluster has none")
    if settings.overwrite_label and settings.components:
        raise ValueError("overwrite-label: only a single node has labels for databases")
    if settings.components:
        check_unsupported(settings, ("max_labels", "label", "databases", "drop_foreign_data"))
    if settings.label:
        check_labels([settings.label])
    if settings.max_labels and _client_labels(settings) <= 0:
        raise ValueError("max-labels: no label of a client would remain")
    if settings.overwrite_label and settings.databases:
        raise ValueError("overwrite-label: expected no databases beside it")
    databases = [(name, set(one.items())) for name, one in settings.databases.items()]
    for (first, labels), (second, others) in combinations(databases, 2):
        if labels == others:
            raise ValueError(f"databases: {first} and {second} have the same labels")
    if settings.tenants and not settings.components:
        raise ValueError("tenants: only a cluster has them: expected components")
    check_tenants(settings, ACCOUNT_PATTERN, "accounts such as 12:3", CLUSTER_COMPONENTS)


def label_renamer(settings: UpstreamSettings) -> LabelRenamer:
    """Returns the renamer of the labels that tell databases apart, which no client may set."""
    names = {
        settings.label or DATABASE_LABEL,
        *(name for labels in settings.databases.values() for name in labels),
    }
    return LabelRenamer(() if settings.overwrite_label else names, _client_labels(settings))


def _client_labels(settings: UpstreamSettings) -> int:
    """Returns how many labels beside its name a client's series may have; 0: no limit.

    Headgate adds the labels of a database, and VictoriaMetrics may add one for the parameter `db`.
    """
    own = max([1, *map(len, settings.databases.values())])
    return settings.max_labels and settings.max_labels - own - 2
