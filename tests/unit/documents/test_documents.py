"""Checks the Markdown documents: links have targets, the Python examples run, and the English
follows CONTRIBUTING.md.
"""

import re
from pathlib import Path

import pytest

from headgate_server.gateway.local_paths import ENDPOINTS, Requirement
from headgate_server.telemetry.metrics import Metrics
from headgate_server.upstream.adapters import ADAPTERS
from support.places import REPOSITORY

ROOT = REPOSITORY
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text("utf-8")
MAX_README_WORDS = 1200
MAX_COLUMNS = 100
FORBIDDEN = re.compile(
    r"\b(who|whom|whose|whoever|nobody|somebody|anybody|everybody|someone|anyone|everyone"
    r"|no one|he|him|his|himself)\b",
    re.IGNORECASE,
)
OUTPUT = re.compile(r"^```text$.*?^```$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"`[^`]+`")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)

every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def prose(text: str) -> str:
    """Returns the Markdown *text* without fenced, indented and inline code."""
    text = FENCE.sub("", text)
    lines = [line for line in text.splitlines() if not is_code(line)]
    return INLINE_CODE.sub("``", "\n".join(lines))


def is_code(line: str) -> bool:
    """Returns whether *line* is code. Continued list items are indented by at most three blanks."""
    return line.startswith("    ")


def anchors(path: Path) -> set[str]:
    """Returns the anchors that GitHub derives from the headings of the document *path*."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_document
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@every_document
def test_the_subject_of_a_sentence_is_a_thing_or_the_user(path: Path) -> None:
    """Searches each document for the words that CONTRIBUTING.md forbids."""
    found = [
        f"{number}: {match[0]}"
        for number, line in enumerate(prose(path.read_text("utf-8")).splitlines(), 1)
        for match in FORBIDDEN.finditer(line)
    ]
    assert found == []


@every_document
def test_lines_are_wrapped(path: Path) -> None:
    """The limit excludes rows of tables and the output of programs, which cannot be wrapped."""
    text = OUTPUT.sub("", path.read_text("utf-8"))
    long = [
        line
        for line in text.splitlines()
        if len(line) > MAX_COLUMNS and not line.startswith("|") and " " in line.strip()
    ]
    assert long == []


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= MAX_README_WORDS


@pytest.mark.slow
def test_the_readmes_python_runs(tmp_path: Path) -> None:
    """Compares the value of each line with the value in the comment at its end."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    compared = 0
    for line in code.replace('"users.db"', repr(str(tmp_path / "users.db"))).splitlines():
        statement, _, said = line.partition("  # ")
        if re.match(r"(engine\.)?(allows|str|completions|redact)\(", statement):
            value = eval(statement, names)
            texts = (repr(value), str(value), "the statement, as InfluxDB prints it")
            assert said.strip().startswith(texts), line
            compared += 1
        else:
            exec(statement, names)
    assert compared == 5


def test_every_metric_is_listed() -> None:
    metrics = Metrics()
    metrics.show_users(lambda user, database: True)
    page, _ = metrics.render("")
    known = {"headgate_worker_restarts_total"}  # which only several workers have
    known |= set(re.findall(r"^# TYPE (headgate_\w+)", page.decode(), re.MULTILINE))
    text = (ROOT / "docs" / "http.md").read_text("utf-8").partition("\n## Metrics\n")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == known


def test_every_kind_of_upstream_store_is_named() -> None:
    page = (ROOT / "docs" / "gateway.md").read_text("utf-8")
    table = page.partition("| protocol |")[2].partition("\n\n")[0]
    assert [kind for kind in ADAPTERS if f"`{kind}`" not in table] == []


def test_every_path_that_auth_rejects_is_named() -> None:
    page = " ".join((ROOT / "docs" / "gateway.md").read_text("utf-8").split())
    sentence = page.partition("unless `ping-auth-enabled` is set. It rejects ")[2]
    sentence = sentence.partition(". ")[0]
    prefixes, influxdbs = ("/api/", "/access/v1/", "/console/", "/login/"), ("/api/v1/", "/api/v2/")
    assert [prefix for prefix in (*prefixes, *influxdbs) if f"`{prefix}`" not in sentence] == []
    for path, endpoint in ENDPOINTS.items():
        below = path.startswith(prefixes) and not path.startswith(influxdbs)
        named = below or f"`{path}`" in sentence
        assert named is (endpoint.requirement is Requirement.LOCAL_ONLY), path


def test_every_endpoint_is_named() -> None:
    text = (ROOT / "docs" / "http.md").read_text("utf-8")
    assert [path for path in ENDPOINTS if f"`{path.removesuffix('/*')}`" not in text] == []
