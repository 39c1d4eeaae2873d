"""Headgate with an influxd of its own behind it, as one program.

    behind.py FOLDER FLAGS...      influxd keeps its files in FOLDER; FLAGS are `headgate serve`'s

Ends both on SIGTERM. A second start on the same FOLDER finds what the first has left.
"""

import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.influxd import Influxd


def main(folder: Path, flags: list[str]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    with Influxd(folder, auth=False) as influxd:
        upstream = f"http://127.0.0.1:{influxd.port}"
        command = [sys.executable, "-m", "headgate", "serve", "--upstream", upstream, *flags]
        headgate = subprocess.Popen(command)
        signal.signal(signal.SIGTERM, lambda *_: headgate.terminate())
        return headgate.wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
