"""The login of a subscription reaches a real store."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from support.audit_records import audit_records
from support.gateway_fixtures import TWO
from support.influxd import Influxd, needs_influxd
from support.servers import ROOT, Server
from support.subscriptions import PASSWORD, SUBSCRIPTIONS


@needs_influxd
def test_a_real_store_gets_the_login_of_a_subscription(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with Influxd(tmp_path, auth=False) as influxd:
        server = serve("--upstream", f"http://127.0.0.1:{influxd.port}").bootstrap(TWO)
        for text, parameters in SUBSCRIPTIONS:
            form = {"q": text, "db": "a", "params": json.dumps(parameters)}
            url = "/query?" + urlencode(form)
            answer = server.request("POST", url, b"", basic=ROOT)
            assert answer.status == 200 and not answer.error, answer.body
            assert PASSWORD in influxd.query("SHOW SUBSCRIPTIONS").body.decode()
            assert not server.query("DROP SUBSCRIPTION s ON a.autogen").error
        assert PASSWORD not in server.log()
        assert not any(PASSWORD in repr(record) for record in audit_records(server))
