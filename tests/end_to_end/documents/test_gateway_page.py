"""Runs the recipes of docs/gateway.md with the ports of this test."""

import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import free_port
from headgate_server.config.gateway_reader import read_gateway_settings
from support.places import REPOSITORY
from support.recipes import recipes, run_recipe
from support.recorder_upstream import Heard, Recorder, Reply, recorder, said
from support.victoria_metrics import Victoria

ROOT = REPOSITORY
PAGE = (ROOT / "docs" / "gateway.md").read_text()


RECIPES = list(recipes(PAGE))


def influxdb3(heard: Heard) -> Reply:
    """Accepts a write with the token of the store."""
    assert heard.all("Authorization") == ["Bearer Admin-token-of-3"]
    return 204, {}, b""


def loki(heard: Heard) -> Reply:
    status, headers, content = said({"tenant": heard.tenant})
    return status, headers, content.replace(b" ", b"") + b"\n"


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[dict[str, Recorder | Victoria]]:
    if shutil.which("victoria-metrics") is None and not os.environ.get("CI"):
        pytest.skip("Debian's victoria-metrics is not installed")
    with ExitStack() as stack:
        yield {
            "8428": stack.enter_context(Victoria(tmp_path)),
            "8181": stack.enter_context(recorder(reply=influxdb3)),
            "3100": stack.enter_context(recorder(reply=loki)),
        }


def test_there_are_recipes() -> None:
    assert len(RECIPES) == PAGE.count("```sh") == 4


@pytest.mark.parametrize(("title", "script", "expected"), RECIPES)
def test_a_recipe_does_what_it_says(
    title: str, script: str, expected: str, tmp_path: Path, stores: dict[str, Recorder | Victoria]
) -> None:
    if "nginx" in script and shutil.which("nginx") is None and not os.environ.get("CI"):
        pytest.skip("Debian's nginx is not installed")
    (tmp_path / "admin-token").write_text("Admin-token-of-3\n")
    (tmp_path / "tenant-secret").write_text("a secret of more than thirty-two bytes, of tenants\n")
    ports = {port: store.url.rpartition(":")[2] for port, store in stores.items()}
    ports |= {"8087": str(free_port()), "8080": str(free_port())}
    for port, own in ports.items():
        script = script.replace(f":{port}", f":{own}")
    script = script.replace(
        "$EXAMPLES/nginx/headgate.conf > nginx.conf", "nginx.example > nginx.conf"
    )
    example = (ROOT / "examples" / "nginx" / "headgate.conf").read_text()
    own = "".join(f"{it}_temp_path {tmp_path}/{it};\n" for it in ("client_body", "proxy"))
    example = example.replace("http {", f"http {{ access_log off;\n{own}", 1)
    example = example.replace("127.0.0.1:8080", f"127.0.0.1:{ports['8080']}")
    (tmp_path / "nginx.example").write_text(example)
    output, errors = run_recipe(script, tmp_path)
    assert output.strip() == expected.strip(), errors


def test_the_settings_that_are_shown_can_be_set() -> None:
    team, labels, logs = (
        read_gateway_settings(tomllib.loads(example)["gateway"]).upstreams[0]
        for example in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    )
    assert team.label == "team"
    assert (labels.label, labels.databases["old"]) == ("tenant", {"tenant": "", "team": ""})
    assert (logs.name, len(logs.routes)) == ("logs", 1)
