"""Remote write and read of a real Prometheus."""

from collections.abc import Callable
from pathlib import Path

from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.influxd import Influxd, needs_influxd
from support.prometheus import Prometheus, needs_prometheus
from support.servers import Server
from support.waiting import poll_until

REMOTE = """\
remote_write:
- url: http://127.0.0.1:{port}/api/v1/prom/write?db=a
  basic_auth: {{username: ann, password: Ann-pw-1}}
remote_read:
- url: http://127.0.0.1:{port}/api/v1/prom/read?db=a
  basic_auth: {{username: ann, password: Ann-pw-1}}
  read_recent: true
"""


@needs_influxd
@needs_prometheus
def test_every_sample_that_prometheus_scraped_arrives_and_is_read_back(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with Influxd(tmp_path, auth=False) as influxd:
        url = f"http://127.0.0.1:{influxd.port}"
        table = upstream("influxdb1", urls=[url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        # Put there past Prometheus: only remote read can find it.
        influxd.request("POST", "/write?db=a", b"elsewhere,job=other value=42")
        with Prometheus(tmp_path, REMOTE.format(port=server.port)) as prometheus:
            scraped: dict[str, str] = {}

            def several() -> bool:
                for series in prometheus.samples("up[1m]"):
                    scraped.update({str(at): value for at, value in series["values"]})
                return len(scraped) >= 4

            poll_until(several, "prometheus scrapes nothing")

            def arrived() -> bool:
                answer = server.query("SELECT value FROM up", ANN, db="a", epoch="ms")
                series = answer.json["results"][0].get("series")
                found = {row[0] for row in series[0]["values"]} if series else set()
                return {round(float(at) * 1000) for at in scraped} <= found

            poll_until(arrived, "samples were lost")
            found = prometheus.samples("last_over_time(elsewhere[1h])")
            assert [one["value"][1] for one in found] == ["42"]
