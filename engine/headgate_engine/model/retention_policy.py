"""Retention policies of a database, and InfluxDB's rules for them (1.8, services/meta).

Headgate deletes no data: it stores policies so that clients can list, create and alter them, and to
check a repeated CREATE DATABASE. Durations are in nanoseconds; a duration of 0 is infinite.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from headgate_engine.errors import PolicyError
from headgate_grammar import AlterRetentionPolicy, PolicyOptions

_HOUR = 3_600_000_000_000
_DAY = 24 * _HOUR
# InfluxDB has a duration and a replication in signed integers, of 64 and of 32 bits.
_MAX_DURATION = 2**63 - 1
_MAX_REPLICATION = 2**31 - 1
_INCOMPATIBLE = "retention policy duration must be greater than the shard duration"
_CONFLICT = "retention policy conflicts with an existing policy"


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """A retention policy; the defaults are InfluxDB's. Durations are in nanoseconds.

    *future_limit* and *past_limit* bound the times of written points (1.12); 0 is no bound.
    """

    name: str = "autogen"
    duration: int = 0
    replication: int = 1
    shard_duration: int = 7 * _DAY
    future_limit: int = 0
    past_limit: int = 0


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
    spans = (options.shard_duration, options.future_limit, options.past_limit)
    _check_limits(duration, spans, options.replication)
    return RetentionPolicy(
        name=options.name or "autogen",
        duration=duration,
        replication=options.replication or 1,
        shard_duration=_shard_duration(options.shard_duration, duration),
        future_limit=options.future_limit,
        past_limit=options.past_limit,
    )


def altered_policy(policy: RetentionPolicy, change: AlterRetentionPolicy) -> RetentionPolicy:
    """Returns *policy* with the options of *change*; None keeps a value.

    Raises PolicyError for invalid options.
    """
    spans = (change.shard_duration or 0, change.future_limit or 0, change.past_limit or 0)
    _check_limits(change.duration or 0, spans, change.replication)
    given = {
        name: value
        for name in ("duration", "replication", "shard_duration", "future_limit", "past_limit")
        if (value := getattr(change, name)) is not None
    }
    altered = replace(policy, **given)
    checked = {"duration", "shard_duration"} & given.keys()
    if checked and 0 < altered.duration < altered.shard_duration:
        raise PolicyError(_INCOMPATIBLE)
    if "shard_duration" in given:
        span = _shard_duration(altered.shard_duration, altered.duration)
        altered = replace(altered, shard_duration=span)
    return altered


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
        and options.future_limit in (0, existing.future_limit)
        and options.past_limit in (0, existing.past_limit)
    )
    if not same:
        raise PolicyError(_CONFLICT)


def _check_limits(duration: int, spans: Iterable[int], replication: int | None) -> None:
    """Raises PolicyError if a value is out of range. *spans* are the other durations."""
    if 0 < duration < _HOUR:
        raise PolicyError("retention policy duration must be at least 1h0m0s")
    if max(duration, *spans) > _MAX_DURATION:
        raise PolicyError("retention policy duration must be less than 292 years")
    if (replication or 1) > _MAX_REPLICATION:
        raise PolicyError(f"retention policy replication must be at most {_MAX_REPLICATION}")


def _shard_duration(requested: int, duration: int) -> int:
    if requested:
        return max(requested, _HOUR)
    if duration == 0 or duration >= 180 * _DAY:
        return 7 * _DAY
    return _DAY if duration >= 2 * _DAY else _HOUR
