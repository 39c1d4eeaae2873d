"""The configuration file that a real influxd prints."""

import subprocess
from pathlib import Path

from headgate_server import configure
from support.influxd import needs_influxd
from support.text_encodings import text_encodings


@needs_influxd
def test_the_file_that_influxd_prints_is_taken(tmp_path: Path) -> None:
    printed = subprocess.run(["influxd", "config"], capture_output=True, check=True).stdout
    for form in text_encodings(printed.decode()).values():
        path = tmp_path / "influxdb.conf"
        path.write_bytes(form)
        assert configure({}, {}, str(path)).settings.bind_address == ":8086"
