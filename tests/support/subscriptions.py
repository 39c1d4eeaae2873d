"""Statements that create subscriptions whose URLs contain a login."""

PASSWORD = "Sub-Secret-77"
URL = f"http://svc:{PASSWORD}@127.0.0.1:9/write"
# Each statement with the values of its bound parameters.
SUBSCRIPTIONS: tuple[tuple[str, dict[str, object]], ...] = (
    (f"CREATE SUBSCRIPTION s ON a.autogen DESTINATIONS ALL '{URL}'", {}),
    ("CREATE SUBSCRIPTION s ON a.autogen DESTINATIONS ALL $url", {"url": URL}),
    ("CREATE SUBSCRIPTION s ON a.autogen DESTINATIONS ANY $a, $b",
     {"a": f"https://{PASSWORD}@h:1?p={PASSWORD}", "b": f"udp://u:p@{PASSWORD}@h:2"}),
)  # fmt: skip
