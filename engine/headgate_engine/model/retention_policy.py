"""Retention policies of a database, and InfluxDB's rules for them (1.8, services/meta).

Headgate deletes no data: it stores policies so that clients can list, create and alter them, and to
check a repeated CREATE DATABASE. Durations are in nanoseconds; a duration of 0 is infinite.
"""

from dataclasses import dataclass

from headgate_engine.errors import PolicyError
from headgate_grammar import PolicyOptions

_HOUR = 3_600_000_000_000
_DAY = 24 * _HOUR
# InfluxDB has a duration and a replication in signed integers, of 64 and of 32 bits.
_MAX_DURATION = 2**63 - 1
_MAX_REPLICATION = 2**31 - 1
_INCOMPATIBLE = "retention policy duration must be greater than the shard duration"
_CONFLICT = "retention policy conflicts with an existing policy"


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
    policy = _requested_policy(options)
    if 0 < policy.duration < policy.shard_duration:
        raise PolicyError(_INCOMPATIBLE)
    return policy


def _requested_policy(options: PolicyOptions) -> RetentionPolicy:
    """Returns the policy that *options* describe. Its two durations may be incompatible."""
    duration = options.duration or 0
    _check_limits(duration, options.shard_duration, options.replication)
    return RetentionPolicy(
        name=options.name or "autogen",
        duration=duration,
        replication=options.replication or 1,
        shard_duration=_shard_duration(options.shard_duration, duration),
    )


def altered_policy(
    policy: RetentionPolicy,
    duration: int | None,
    replication: int | None,
    shard_duration: int | None,
) -> RetentionPolicy:
    """Returns *policy* with the options of ALTER RETENTION POLICY; None keeps a value.

    Raises PolicyError for invalid options.
    """
    _check_limits(duration or 0, shard_duration or 0, replication)
    new_duration = policy.duration if duration is None else duration
    new_shard = policy.shard_duration if shard_duration is None else shard_duration
    if 0 < new_duration < new_shard and (duration, shard_duration) != (None, None):
        raise PolicyError(_INCOMPATIBLE)
    return RetentionPolicy(
        policy.name,
        new_duration,
        policy.replication if replication is None else replication,
        new_shard if shard_duration is None else _shard_duration(shard_duration, new_duration),
    )


def check_same(existing: RetentionPolicy | None, options: PolicyOptions) -> None:
    """Raises PolicyError if *options* do not match the *existing* policy.

    If *options* omit the duration or the replication, every existing value matches. An omitted name
    or shard duration stands for InfluxDB's default.
    """
    requested = _requested_policy(options)
    same = (
        existing is not None
        and requested.name == existing.name
        and options.duration in (None, existing.duration)
        and options.replication in (None, existing.replication)
        and _shard_duration(options.shard_duration, existing.duration) == existing.shard_duration
    )
    if not same:
        raise PolicyError(_CONFLICT)


def _check_limits(duration: int, shard_duration: int, replication: int | None) -> None:
    """Raises PolicyError if a value is out of range."""
    if 0 < duration < _HOUR:
        raise PolicyError("retention policy duration must be at least 1h0m0s")
    if max(duration, shard_duration) > _MAX_DURATION:
        raise PolicyError("retention policy duration must be less than 292 years")
    if (replication or 1) > _MAX_REPLICATION:
        raise PolicyError(f"retention policy replication must be at most {_MAX_REPLICATION}")


def _shard_duration(requested: int, duration: int) -> int:
    if requested:
        return max(requested, _HOUR)
    if duration == 0 or duration >= 180 * _DAY:
        return 7 * _DAY
    return _DAY if duration >= 2 * _DAY else _HOUR
