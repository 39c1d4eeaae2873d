"""Runs the recipes of docs/gateway.md with the ports of this test."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness import free_port
from headgate_server.config.gateway_reader import read_gateway_settings
from support.places import REPOSITORY
from support.recorder_upstream import Heard, Recorder, Reply, recorder, said
from support.victoria_metrics import Victoria

ROOT = REPOSITORY
PAGE = (ROOT / "docs" / "gateway.md").read_text()


def recipes() -> Iterator[Any]:
    """Yields title, commands and expected output of each section with commands."""
    for section in PAGE.split("\n## "):
        if "```sh\n" in section:
            title = section.partition("\n")[0]
            script, rest = section.partition("```sh\n")[2].split("```\n", 1)
            expected = rest.partition("```text\n")[2].partition("```")[0]
            yield pytest.param(title, script, expected, id=title)


RECIPES = list(recipes())


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
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
    # What it starts ends with it.
    text = f"set -e\n{script}\nkill $(jobs -p)\nwait\n"
    shell = subprocess.Popen(
        ["bash", "-c", text],
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "HEADGATE_AUTH_BCRYPT_COST": "4"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        output, errors = shell.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        raise
    assert output.strip() == expected.strip(), errors


def test_the_settings_that_are_shown_can_be_set() -> None:
    team, labels, logs = (
        read_gateway_settings(tomllib.loads(example)["gateway"]).upstreams[0]
        for example in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    )
    assert team.label == "team"
    assert (labels.label, labels.databases["old"]) == ("tenant", {"tenant": "", "team": ""})
    assert (logs.name, len(logs.routes)) == ("logs", 1)
