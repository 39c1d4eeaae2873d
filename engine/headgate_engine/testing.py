"""A pytest fixture with an engine, for tests of programs that use Headgate.

In a `conftest.py`: `pytest_plugins = ["headgate_engine.testing"]`. The extra `testing` has pytest.
"""

from collections.abc import Iterator

import pytest

from headgate_engine.engine import Engine
from headgate_engine.passwords import Passwords
from headgate_engine.stores.memory import MemoryStore

_CHEAPEST_COST = 4


def memory_engine() -> Engine:
    """Returns an engine without users, on a store in memory, with fast logins."""
    return Engine(MemoryStore(), Passwords(_CHEAPEST_COST))


@pytest.fixture
def headgate_engine() -> Iterator[Engine]:
    """An engine without users, on a store in memory. A login takes a millisecond."""
    engine = memory_engine()
    yield engine
    engine.store.close()
