"""The retention policy that CREATE DATABASE .. WITH gives to a new database.

Headgate stores the policy only to check a repeated CREATE DATABASE. The statement succeeds with the
same policy and fails with another one, as in InfluxDB 1.8 (services/meta). Durations are in
nanoseconds; a duration of 0 is infinite.
"""

from dataclasses import dataclass

from headgate_engine.errors import PolicyError
from headgate_grammar import PolicyOptions

_HOUR = 3_600_000_000_000
_DAY = 24 * _HOUR
# InfluxDB has a duration and a replication in signed integers, of 64 and of 32 bits.
_MAX_DURATION = 2**63 - 1
_MAX_REPLICATION = 2**31 - 1


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """A retention policy; the defaults are InfluxDB's. Durations are in nanoseconds."""

    name: str = "autogen"
    duration: int = 0
    replication: int = 1
    shard_duration: int = 7 * _DAY


def retention_policy(options: PolicyOptions | None) -> RetentionPolicy:
    """Returns the policy that *options* describe; a missing option has InfluxDB's default.

    Raises PolicyError for invalid options.
    """
    if options is None:
        return RetentionPolicy()
    duration = options.duration or 0
    if max(duration, options.shard_duration) > _MAX_DURATION:
        raise PolicyError("retention policy duration must be less than 292 years")
    if (options.replication or 1) > _MAX_REPLICATION:
        raise PolicyError(f"retention policy replication must be at most {_MAX_REPLICATION}")
    if 0 < duration < _HOUR:
        raise PolicyError("retention policy duration must be at least 1h0m0s")
    shard_duration = _shard_duration(options.shard_duration, duration)
    if 0 < duration < shard_duration:
        raise PolicyError("retention policy duration must be greater than the shard duration")
    return RetentionPolicy(
        name=options.name or "autogen",
        duration=duration,
        replication=options.replication or 1,
        shard_duration=shard_duration,
    )


def check_same(existing: RetentionPolicy, options: PolicyOptions) -> None:
    """Raises PolicyError if *options* do not match the *existing* policy.

    If *options* omit the duration or the replication, every existing value matches. An omitted name
    or shard duration stands for InfluxDB's default.
    """
    requested = retention_policy(options)
    same = (
        requested.name == existing.name
        and options.duration in (None, existing.duration)
        and options.replication in (None, existing.replication)
        and _shard_duration(options.shard_duration, existing.duration) == existing.shard_duration
    )
    if not same:
        raise PolicyError("retention policy conflicts with an existing policy")


def _shard_duration(requested: int, duration: int) -> int:
    if requested:
        return max(requested, _HOUR)
    if duration == 0 or duration >= 180 * _DAY:
        return 7 * _DAY
    return _DAY if duration >= 2 * _DAY else _HOUR
