"""The files in deploy/: units, the container and Kubernetes' manifests, by the tools of each."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from headgate_engine import VERSION
from headgate_server.config.loader import load
from support.places import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
BIN = Path(sys.executable).parent


def checked(*command: str | Path, **variables: str) -> str:
    """Returns the output of *command*, which has to succeed."""
    program = shutil.which(str(command[0]), path=f"{BIN}:{os.environ['PATH']}")
    if program is None and "CI" not in os.environ:
        pytest.skip(f"{command[0]} is not installed")
    assert program is not None
    words = [program, *map(str, command[1:])]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text().replace("/opt/headgate/bin/headgate", sys.executable)
        (tmp_path / path.name).write_text(text.replace("Documentation=", "# "))
    checked(
        "systemd-analyze", "verify", tmp_path / "headgate.service", tmp_path / "headgate.socket"
    )


def test_systemd_rates_the_service_as_well_confined() -> None:
    unit = DEPLOY / "systemd" / "headgate.service"
    checked("systemd-analyze", "security", "--offline=true", "--threshold=15", unit)


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    checked("hadolint", DEPLOY / "container" / "Dockerfile")


def test_compose_accepts_its_file() -> None:
    file = DEPLOY / "container" / "compose.yaml"
    text = checked("docker-compose", "--file", file, "config", HEADGATE_ADMIN_PASSWORD="x")
    services = yaml.safe_load(text)["services"]
    ours = [name for name in services if name.startswith("headgate")]
    assert len(ours) == 2
    for name, service in services.items():
        assert ("ports" in service) is (name in ours), "only Headgate can be reached"
    for name in ours:
        given = {key: str(it) for key, it in services[name]["environment"].items()}
        assert load({}, given, None).settings.gateway.upstreams


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_schemas_accept_the_manifests(path: Path) -> None:
    checked("kubernetes-validate", "--strict", path)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_the_manifests_fit_together(path: Path, tmp_path: Path) -> None:
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(path.read_text()))
    by_kind = {it["kind"]: it for it in documents}
    text = by_kind["ConfigMap"]["data"]["headgate.toml"]
    secret = tmp_path / "secret"
    secret.write_text("s" * 40)
    secret.chmod(0o600)
    for name in ("shared-secret", "store-password"):
        text = text.replace(f"/etc/headgate-secrets/{name}", str(secret))
    configuration = tmp_path / "headgate.toml"
    configuration.write_text(text)
    settings = load({}, {}, str(configuration)).settings
    workload = by_kind.get("StatefulSet") or by_kind["Deployment"]
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == f"headgate:{VERSION}"
    assert container["ports"][0]["containerPort"] == settings.address()[1]
    assert pod["terminationGracePeriodSeconds"] > settings.shutdown_delay + 30
    if workload["kind"] == "StatefulSet":
        assert workload["spec"]["replicas"] == 1, "a SQLite file belongs to one machine"
        assert not settings.is_store_shared
        folders = [it["mountPath"] for it in container["volumeMounts"]]
        assert str(Path(settings.store_path).parent) in folders
    else:
        assert settings.is_store_shared
        assert by_kind["PodDisruptionBudget"]["spec"]["selector"] == workload["spec"]["selector"]


def test_groff_finds_nothing_in_the_manual_pages() -> None:
    for path in sorted((REPOSITORY / "shell" / "man").glob("*.1")):
        assert not checked("groff", "-man", "-ww", "-Tutf8", "-z", path)
