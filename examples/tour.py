"""The tour of `make demo`: a server on a free port, a temporary store, and each way to log in.

    tour.py                the steps; each prints the request and the response
    tour.py --console      the steps, then the web console with their users, until Ctrl-C

An unexpected response ends the tour with status 1.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import jwt

SECRET = "a shared secret of this demonstration"
HEADGATE = [sys.executable, "-m", "headgate"]
ROOT = ("root", "Toor-1")
CONSOLE_PORT = 8186


class Tour:
    """A server with its store in *folder*, and the steps against it."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.store = folder / "headgate.db"
        with socket.create_server(("127.0.0.1", port)) as free:
            self.port = free.getsockname()[1]
        self.server: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts the server and waits up to 20 s until it responds."""
        arguments = ["serve", "--bind", f"127.0.0.1:{self.port}", "--store", str(self.store)]
        echo(f"$ HEADGATE_HTTP_SHARED_SECRET=... headgate {shlex.join(arguments)} &")
        self.server = subprocess.Popen(
            [*HEADGATE, *arguments],
            env=os.environ
            | {"HEADGATE_HTTP_SHARED_SECRET": SECRET, "HEADGATE_HTTP_LOG_ENABLED": "false"},
            text=True,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=2).close()
                return
            except OSError:
                if self.server.poll() is not None or time.monotonic() > deadline:
                    sys.exit("the server did not start")
                time.sleep(0.05)

    def stop(self) -> None:
        """Stops the server with SIGTERM and expects exit status 0."""
        if self.server is not None and self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            status = self.server.wait(20)
            echo(f"$ kill -TERM {self.server.pid}    # exit status {status}")
            expect("0", str(status))

    def shell(self, statement: str, *words: str, login: tuple[str, str] = ROOT) -> None:
        """Runs a statement by `headgate shell`; its output must contain each of *words*."""
        echo(f"\n$ INFLUX_USERNAME={login[0]} INFLUX_PASSWORD={login[1]} \\")
        echo(f"  headgate shell -port {self.port} -execute {quoted(statement)}")
        done = subprocess.run(
            [*HEADGATE, "shell", "-port", str(self.port), "-execute", statement],
            env=os.environ | {"INFLUX_USERNAME": login[0], "INFLUX_PASSWORD": login[1]},
            capture_output=True,
            text=True,
            check=False,
        )
        echo(done.stdout.rstrip("\n") or "(done)")
        expect_words(words, done.stdout)

    def http(
        self, title: str, statement: str, status: int, *words: str, header: str = "", **url: str
    ) -> None:
        """Sends a statement over HTTP; the response must have *status* and contain *words*."""
        query = "&".join(f"{name}={urllib.parse.quote(value)}" for name, value in url.items())
        address = f"http://127.0.0.1:{self.port}/query" + (f"?{query}" if query else "")
        shown = f"-H {shlex.quote('Authorization: ' + header)} " if header else ""
        echo(f"\n# {title}")
        echo(f"$ curl {shown}'{address}' --data-urlencode {quoted('q=' + statement)}")
        request = urllib.request.Request(address, urllib.parse.urlencode({"q": statement}).encode())
        if header:
            request.add_header("Authorization", header)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                code, body = response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            code, body = error.code, error.read().decode()
        echo(f"{code} {body.rstrip()}")
        expect(str(status), str(code))
        expect_words(words, json.dumps(json.loads(body), separators=(",", ":")))


def quoted(text: str) -> str:
    """Quotes *text* for a POSIX shell, with double quotes if that is easier to read."""
    return f'"{text}"' if "'" in text and not set('"$`\\!') & set(text) else shlex.quote(text)


def echo(text: str) -> None:
    """Prints *text* at once."""
    print(text, flush=True)


def expect(wanted: str, got: str) -> None:
    """Exits with status 1 if *got* is not *wanted*."""
    if wanted != got:
        sys.exit(f"the tour expected {wanted}, and got {got}")


def expect_words(words: tuple[str, ...], answer: str) -> None:
    """Exits with status 1 if one of *words* is not in *answer*."""
    for word in words:
        if word not in answer:
            sys.exit(f"the tour expected {word!r} in the answer")


def basic(name: str, password: str) -> str:
    """Returns the value of a Basic Authorization header."""
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def tour(folder: Path, *, console: bool = False) -> None:
    """Runs all steps with a store in *folder*. With *console*, then serves until Ctrl-C."""
    run = Tour(folder, CONSOLE_PORT if console else 0)
    run.start()
    try:
        make_users(run)
        log_in(run)
        change_users(run)
        echo("\n# The store is persistent: stop the server, and start it again")
        run.stop()
        run.start()
        run.shell("SHOW USERS; SHOW GRANTS FOR todd; SHOW DATABASES", "alice", "READ", "telegraf")
        if console:
            show_console(run)
    finally:
        run.stop()


def show_console(run: Tour) -> None:
    """Prints the address of the console, and waits for Ctrl-C."""
    assert run.server is not None
    name, password = ROOT
    echo(f"\nThe console: http://127.0.0.1:{run.port}/console/")
    echo(f"Sign in as {name} with the password {password}. Ctrl-C ends the server.")
    with suppress(KeyboardInterrupt):
        run.server.wait()


def make_users(run: Tour) -> None:
    """Creates the administrator, users, a database and grants."""
    run.http(
        "The first query of a new server creates the administrator",
        "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES",
        200,
        '"statement_id":0}',
    )
    run.shell("CREATE DATABASE telegraf")
    run.shell("CREATE USER todd WITH PASSWORD 's3cret'")
    run.shell("CREATE USER alice WITH PASSWORD 'wonder'")
    run.shell("CREATE USER bob WITH PASSWORD 'build'")
    run.shell("GRANT ALL ON telegraf TO todd; GRANT WRITE ON telegraf TO alice")
    run.shell("REVOKE WRITE ON telegraf FROM todd")
    run.shell("SHOW USERS", "root  true", "todd  false", "alice false")
    run.shell("SHOW GRANTS FOR todd", "telegraf READ")


def log_in(run: Tour) -> None:
    """Logs in with each scheme, and fails with a wrong password and a missing privilege."""
    token = jwt.encode({"username": "todd", "exp": int(time.time()) + 600}, SECRET, "HS256")
    ways = {
        "Basic": basic("todd", "s3cret"),
        "Token": "Token todd:s3cret",
        "a JSON Web Token signed with the shared secret": f"Bearer {token}",
    }
    for name, header in ways.items():
        run.http(f"Log in with {name}", "SHOW DATABASES", 200, '[["telegraf"]]', header=header)
    run.http("Log in with u and p", "SHOW DATABASES", 200, "telegraf", u="todd", p="s3cret")
    run.http(
        "A wrong password", "SHOW DATABASES", 401, "authorization failed", header=basic("todd", "?")
    )
    run.http(
        "A privilege that todd does not have",
        "GRANT ALL PRIVILEGES TO todd",
        403,
        "todd not authorized to execute statement 'GRANT ALL PRIVILEGES TO todd',"
        " requires admin privilege",
        header=basic("todd", "s3cret"),
    )


def change_users(run: Tour) -> None:
    """Changes a password and drops a user."""
    run.shell("SET PASSWORD FOR todd = 'other'")
    run.http("The old password", "SHOW DATABASES", 401, "failed", header=basic("todd", "s3cret"))
    run.http("The new one", "SHOW DATABASES", 200, "telegraf", header=basic("todd", "other"))
    run.shell("DROP USER bob")
    run.http("A dropped user", "SHOW DATABASES", 401, "failed", header=basic("bob", "build"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="headgate-tour.") as name:
        tour(Path(name), console=sys.argv[1:] == ["--console"])
    echo(f"\nTo see these users in a browser: make demo-console, http://127.0.0.1:{CONSOLE_PORT}/")
    echo("The tour succeeded.")
