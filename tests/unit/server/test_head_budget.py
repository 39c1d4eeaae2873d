"""The memory budget of incomplete request heads: at the limit, the oldest connection is closed."""

from hypothesis import given
from hypothesis import strategies as st

from headgate_server.serving.head_memory import HeadBudget

FREE = 8 << 10
BUDGET = 100_000


class Client:
    """A connection that records whether it was closed."""

    ended = False

    def evict_head(self) -> None:
        self.ended = True


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 60_000))))
def test_all_together_never_hold_more_than_the_budget(steps: list[tuple[int, int]]) -> None:
    heads = HeadBudget(BUDGET)
    clients = [Client() for _ in range(20)]
    held: dict[int, int] = {}
    for number, size in steps:
        if clients[number].ended:
            clients[number] = Client()
            held.pop(number, None)
        heads.set_size(clients[number], size)
        held[number] = size
        alive = [it for place, it in held.items() if not clients[place].ended]
        assert sum(max(0, it - FREE) for it in alive) <= BUDGET
        assert not clients[number].ended or size - FREE > BUDGET or number in held


def test_the_one_that_began_first_makes_room() -> None:
    heads, clients = HeadBudget(BUDGET), [Client() for _ in range(4)]
    for client in clients[:3]:
        heads.set_size(client, FREE + 33_000)
    heads.set_size(clients[0], FREE + 33_300)  # its head grows, but it stays the oldest
    heads.set_size(clients[3], FREE)
    assert not any(client.ended for client in clients)
    heads.set_size(clients[3], FREE + 1_000)
    assert [client.ended for client in clients] == [True, False, False, False]
    heads.release(clients[1])
    heads.set_size(clients[0], FREE + 60_000)
    assert [client.ended for client in clients] == [True, False, False, False]
