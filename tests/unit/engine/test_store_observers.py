"""What a store reports reaches the observer that is set later."""

import inspect

import pytest

from headgate_engine import ForwardingObserver, StoreObserver

METHODS = [
    name
    for name, _ in inspect.getmembers(StoreObserver, inspect.isfunction)
    if not name.startswith("_")
]


@pytest.mark.parametrize("name", METHODS)
def test_each_call_is_passed_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[float, ...]] = []
    forwarding = ForwardingObserver()
    parameters = inspect.signature(getattr(StoreObserver, name)).parameters
    arguments = (1.5,) * (len(parameters) - 1)
    getattr(forwarding, name)(*arguments)  # before a target is set: ignored
    target = StoreObserver()
    monkeypatch.setattr(target, name, lambda *words: heard.append(words))
    forwarding.target = target
    getattr(forwarding, name)(*arguments)
    assert heard == [arguments]
