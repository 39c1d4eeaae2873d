"""A client's own label `db` in front of a real VictoriaMetrics: kept, in every format."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest

from headgate_server.upstream.snappy import compress
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.recorder_upstream import recorder
from support.servers import Server

ROUTE = {"methods": ["POST"], "paths": ["/datadog/api/v1/series"], "privilege": "WRITE"}


@pytest.mark.slow
def test_a_format_in_which_labels_are_not_found_is_refused(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with recorder() as store:
        store.reply = lambda heard: (204, {}, b"")
        text = upstream("victoriametrics", urls=[store.url])
        rows = "\n".join(f"{name} = {json.dumps(value)}" for name, value in ROUTE.items())
        text += f"[[gateway.upstream.routes]]\n{rows}\n"
        server = configured(serve, tmp_path, text).bootstrap(TWO)
        answer = server.request("POST", ROUTE["paths"][0] + "?db=a", b"{}", basic=ANN)
        assert answer.status == 501
        assert "cannot read labels in this format" in answer.error
        for headers, status in [
            ({"Content-Encoding": "zstd"}, 415),
            ({"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, 415),
            ({}, 400),
        ]:
            answer = server.request("POST", "/api/v1/write", b"\xff\xff", headers, ANN)
            assert answer.status == status, headers
        answer = server.request("POST", "/api/v1/import", b"{}", {"Content-Encoding": "br"}, ANN)
        assert answer.status == 415
        large = compress(bytes(26_000_000))
        assert server.request("POST", "/api/v1/write", large, {}, ANN).status == 413
        assert [heard.method for heard in store.heard if heard.method == "POST"] == []


def test_another_proxy_is_not_let_lose_the_label(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    tables = upstream("victoriametrics", name="v")
    unread = {"overwrite_label": True, "max_labels": 0}
    tables += upstream("victoriametrics", name="w", mount="/w", **unread)
    tables += upstream("victoriametrics", name="x", mount="/x", overwrite_label=True)
    server = configured(serve, tmp_path, tables).bootstrap(TWO)
    for name, uri, status in [
        ("v", "/write?db=a", 403),
        ("v", "/api/v1/write", 403),
        ("v", "/api/v1/import", 403),
        ("v", "/api/v1/import/csv?format=1:label:db,2:metric:m", 200),
        ("w", "/write?db=a", 200),
        ("w", "/api/v1/write", 200),
        ("x", "/write?db=a", 403),
        ("x", "/api/v1/import/csv?format=1:label:db,2:metric:m", 200),
    ]:
        headers = {"X-Original-URI": uri, "X-Original-Method": "POST"}
        answer = server.request("GET", f"/auth/nginx/{name}", None, headers, ANN)
        assert answer.status == status, (name, uri)
        if "csv" in uri:
            column = "exported_db" if name == "v" else "db"
            assert f"1:label:{column},2" in unquote(answer.headers["X-Auth-Query"])
        if status == 403:
            assert "set overwrite-label = true and max-labels = 0" in answer.error
