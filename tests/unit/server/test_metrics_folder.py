"""The metrics of all workers in one folder, while a worker creates its files."""

from pathlib import Path

import pytest

from headgate_server.telemetry.metrics import Metrics


def test_an_empty_file_of_a_starting_worker_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    metrics = Metrics()
    assert b"headgate_http" not in metrics.render("*/*")[0]
    (tmp_path / "counter_1.db").touch()
    (tmp_path / "gauge_livesum_1.db").touch()
    (tmp_path / "histogram_2.db").write_bytes(bytes(1 << 16))
    assert b"headgate_http" not in metrics.render("")[0]
