"""Runs the steps of the Dockerfile without a container engine, and then the container's command.

    sudo python3 deploy/container/prove.py [FOLDER]

Needs root and Debian's debootstrap. In place of the image of Python, a fresh Debian with its own
Python is the root of each stage (`chroot`). RUN, COPY, ENV, USER and WORKDIR are obeyed. Then the
command runs as its user, with a root that cannot be written: the health check must succeed, a login
must work, SIGTERM must end it with status 0, and a second start must know the same user.
"""

import base64
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PORT = 18986
PASSWORD = "Proof-1-of-it"
# What pip inside needs to reach the packages of this machine.
PIP_FILES = ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")


@dataclass
class Stage:
    """A stage of the build: its *root*, and what its instructions set."""

    root: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    )
    user: str = "0:0"
    folder: str = "/"
    volumes: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def instructions(text: str) -> list[tuple[str, str]]:
    """Returns the instructions of a Dockerfile, each with its arguments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name.upper(), rest.strip()) for name, _, rest in found]


def run(*command: str | Path, **options: object) -> None:
    """Runs *command*. Raises CalledProcessError."""
    subprocess.run([str(word) for word in command], check=True, **options)  # type: ignore[call-overload]


def make_base(root: Path) -> None:
    """Makes a Debian with Python in *root*."""
    site = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()[0]
    include = "python3,python3-venv,ca-certificates"
    run(
        *("debootstrap", "--variant=minbase", f"--include={include}", "bookworm", root, site),
        stdout=subprocess.DEVNULL,
    )
    # The image of Python has the command `python`.
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")


def in_root(stage: Stage, command: list[str], user: str) -> list[str]:
    """Returns the command that runs *command* in the root of *stage*, as *user*."""
    variables = [f"{name}={value}" for name, value in stage.environment.items()]
    uid, _, gid = user.partition(":")
    chroot = ["chroot", f"--userspec={uid}:{gid or uid}", str(stage.root)]
    script = f"cd {shlex.quote(stage.folder)} && exec {shlex.join(command)}"
    return [*chroot, "/usr/bin/env", "-i", *variables, "/bin/sh", "-c", script]


def copy(stage: Stage, stages: dict[str, Stage], arguments: str) -> None:
    """Obeys COPY."""
    words = arguments.split()
    source_root = ROOT
    if words[0].startswith("--from="):
        source_root = stages[words.pop(0).removeprefix("--from=")].root
    *sources, to = words
    target = stage.root / os.path.join(stage.folder, to).lstrip("/")
    for name in sources:
        source = source_root / name.lstrip("/")
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def build(text: str, work: Path) -> Stage:
    """Obeys the Dockerfile *text*, with its stages in *work*. Returns the last stage."""
    make_base(work / "base")
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for name, arguments in instructions(text):
        print(f"== {name} {arguments[:90]}", flush=True)
        if name == "FROM":
            alias = arguments.partition(" AS ")[2] or "final"
            root = work / alias
            run("cp", "--archive", work / "base", root)
            for path in PIP_FILES:
                if os.path.exists(path):
                    (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, root / path[1:])
            stage = stages[alias] = Stage(root)
            continue
        assert stage is not None
        match name:
            case "RUN":
                proxies = {key: it for key, it in os.environ.items() if key.startswith("PIP_")}
                building = Stage(stage.root, stage.environment | proxies, folder=stage.folder)
                run(*in_root(building, ["/bin/sh", "-c", arguments], stage.user))
            case "COPY":
                copy(stage, stages, arguments)
            case "ENV":
                for word in shlex.split(arguments):
                    key, _, value = word.partition("=")
                    stage.environment[key] = value
            case "USER":
                stage.user = arguments
            case "WORKDIR":
                stage.folder = os.path.join(stage.folder, arguments)
                (stage.root / stage.folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "VOLUME":
                stage.volumes.append(arguments)
            case "HEALTHCHECK":
                stage.health = json.loads(arguments.partition(" CMD ")[2])
            case "ENTRYPOINT":
                stage.entrypoint = json.loads(arguments)
            case "CMD":
                stage.command = json.loads(arguments)
            case "EXPOSE" | "STOPSIGNAL":
                pass  # for engines; the stop below is that signal
            case _:
                raise SystemExit(f"{name}: this script does not know the instruction")
    assert stage is not None
    return stage


def start(stage: Stage) -> subprocess.Popen[bytes]:
    """Starts the container's command with a root that cannot be written, but for its volumes."""
    stage.environment |= {
        "HEADGATE_HTTP_BIND_ADDRESS": f"127.0.0.1:{PORT}",
        "HEADGATE_ADMIN_USER": "root",
        "HEADGATE_ADMIN_PASSWORD": PASSWORD,
    }
    root = shlex.quote(str(stage.root))
    volumes = [shlex.quote(str(stage.root / it.lstrip("/"))) for it in stage.volumes]
    mounts = [
        f"mount --bind {root} {root}",
        *(f"mount --bind {path} {path}" for path in volumes),
        f"mount -t tmpfs tmpfs {root}/tmp",
        f"mount -t proc proc {root}/proc",
        f"mount -o remount,ro,bind {root} {root}",
    ]
    command = shlex.join(in_root(stage, stage.entrypoint + stage.command, stage.user))
    script = " && ".join([*mounts, f"exec {command}"])
    return subprocess.Popen(["unshare", "--mount", "/bin/sh", "-c", script])


def logs_in() -> bool:
    """Returns whether the administrator can log in and run a statement."""
    login = base64.b64encode(f"root:{PASSWORD}".encode()).decode()
    url = f"http://127.0.0.1:{PORT}/query?q=SHOW+USERS"
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})
    with suppress(urllib.error.URLError, OSError):
        return b'["root",true]' in urllib.request.urlopen(request, timeout=5).read()
    return False


def prove(stage: Stage) -> None:
    """Starts the container's command twice on one volume, and uses it."""
    for time_of_start in ("first", "second"):
        process = start(stage)
        try:
            deadline = time.monotonic() + 60
            while not logs_in():
                assert process.poll() is None, f"it ended with status {process.returncode}"
                assert time.monotonic() < deadline, "no login within 60 s"
                time.sleep(0.2)
            health = [it.replace(":8086/", f":{PORT}/") for it in stage.health]
            run(*in_root(stage, health, stage.user))
            owner = Path(f"/proc/{process.pid}").stat().st_uid
            assert str(owner) == stage.user.partition(":")[0], f"it runs as user {owner}"
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(60)
        assert status == 0, f"SIGTERM ends it with status {status}"
        print(f"{time_of_start} start: healthy, a login, ended by SIGTERM")


def main() -> None:
    """Builds, proves, and removes what was built."""
    if os.geteuid() != 0:
        raise SystemExit("prove.py: it needs root, for chroot and mounts")
    text = Path(__file__).with_name("Dockerfile").read_text("utf-8")
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        os.chmod(folder, 0o755)
        prove(build(text, Path(folder)))
    print("OK")


if __name__ == "__main__":
    main()
