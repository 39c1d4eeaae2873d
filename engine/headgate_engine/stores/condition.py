"""What is known of the storage behind a user store: how current, and how large it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreCondition:
    """How current the reads of a store are that several machines share.

    The data was proven current *proof_age* seconds ago. *members* servers keep the store, of which
    *members_up* respond.
    """

    proof_age: float
    members_up: int
    members: int


@dataclass(frozen=True, slots=True)
class StoreSize:
    """How large a store is, in bytes.

    *allocated* is the size of its files, *used* the part that has data. The store is full when
    *allocated* reaches *limit*, unless that is 0.
    """

    allocated: int
    used: int
    limit: int = 0
