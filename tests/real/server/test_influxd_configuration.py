"""The configuration file that a real influxd prints."""

import codecs
import subprocess
from pathlib import Path

from headgate_server import configure
from support.influxd import needs_influxd


def written(text: str) -> dict[str, bytes]:
    """*text* as editors write it."""
    lines = text.replace("\n", "\r\n")
    return {
        "UTF-8": text.encode(),
        "UTF-8 with a mark": codecs.BOM_UTF8 + text.encode(),
        "UTF-8 with a mark and CRLF": codecs.BOM_UTF8 + lines.encode(),
        "CRLF": lines.encode(),
        "UTF-16 LE": codecs.BOM_UTF16_LE + lines.encode("utf-16-le"),
        "UTF-16 BE": codecs.BOM_UTF16_BE + lines.encode("utf-16-be"),
    }


@needs_influxd
def test_the_file_that_influxd_prints_is_taken(tmp_path: Path) -> None:
    printed = subprocess.run(["influxd", "config"], capture_output=True, check=True).stdout
    for form in written(printed.decode()).values():
        path = tmp_path / "influxdb.conf"
        path.write_bytes(form)
        assert configure({}, {}, str(path)).settings.bind_address == ":8086"
