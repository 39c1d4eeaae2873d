"""Sections and keys of an influxdb.conf that Headgate ignores, with a notice.

influxd accepts any unknown section and key, and so does Headgate. An unknown name that resembles
one of Headgate's own is probably misspelt: it must be an error, not ignored.
"""

from collections.abc import Iterable

from headgate_server.config.nearest_name import closest_name

# Sections of InfluxDB 0.9 to 1.12 and of InfluxDB Enterprise's data and meta nodes.
SECTIONS = frozenset(
    "meta data cluster coordinator retention shard-precreation admin monitor ifql logging"
    " subscriber graphite collectd opentsdb udp continuous_queries tls hinted-handoff anti-entropy"
    " enterprise flux-controller flux-query raft broker input_plugins".split()
)
TOP_KEYS = frozenset(
    "reporting-disabled reporting-enabled bind-address hostname join gossip-frequency"
    " gossip-bind-address".split()
)
HTTP_KEYS = frozenset(
    "enabled flux-enabled flux-log-enabled flux-testing suppress-write-log access-log-path"
    " access-log-status-filters write-tracing pprof-enabled pprof-auth-enabled"
    " debug-pprof-enabled max-row-limit max-concurrent-write-limit max-enqueued-write-limit"
    " enqueued-write-timeout prom-read-auth-enabled headers user-query-bytes-enabled"
    " https-insecure-certificate https-insecure-tls unix-socket-chunk-size log-level"
    " query-log-path".split()
)
# Headgate's tables inside another section, which do not exist at the top level.
_NESTED = {
    "jwt": "auth.jwt",
    "issuer": "auth.jwt.issuer",
    "ldap": "auth.ldap",
    "servers": "auth.ldap.servers",
    "upstream": "gateway.upstream",
}


def misspelt_section(section: str, ours: Iterable[str]) -> str:
    """Returns the name in *ours*, Headgate's sections, that *section* probably misspells.

    Returns "" if *section* is a section of InfluxDB, or resembles no section of *ours*. The result
    may also be a table inside a section, such as `auth.jwt`.
    """
    if section in SECTIONS:
        return ""
    return _NESTED.get(section.lower()) or closest_name(section, ours)


def misspelt_key(key: str, known: Iterable[str], *, exempt: frozenset[str] = frozenset()) -> str:
    """Returns the key among *known* that *key* probably misspells, as `[section] key`.

    Keys in *known* have the form `section.key`. Returns "" if *key* is one of *exempt*, or
    resembles no key in *known*.
    """
    if key in exempt:
        return ""
    names = {name.partition(".")[2]: name.partition(".")[0] for name in known}
    near = closest_name(key, names)
    return f"[{names[near]}] {near}" if near else ""
