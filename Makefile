# Sets up .venv by itself; needs python3 (3.11 or newer) and make.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --constraint constraints.txt

N ?= 20000
SEED ?= 1
# More than two processors: tests also wait for programs.
JOBS ?= 4
FAST_JOBS ?= 3

.PHONY: help man-pages site dist demo demo-console demo-cluster serve test test-fast test-end-to-end coverage check format long bench hot-path bench-parts screens console-screens settings-page clean

# The targets of this file, each with the comment above it.
help:
	@awk '/^# /{text = text substr($$0, 3) " "; next} \
		/^[a-z-]+( [a-z-]+)*:/ && !/:=|export/ && !/^long-/ && text{split($$0, name, ":"); printf "%-20s%s\n", name[1], text} \
		{text = ""}' Makefile

# A tour of the engine in a terminal.
demo: .venv/installed
	$(BIN)/python examples/tour.py

# The manual pages of shell/man, from the parsers.
man-pages: .venv/developed
	$(BIN)/python docs/man_pages.py

# The web site of docs/, in build/site.
site: .venv/developed
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site

# The distributions, checked, in dist/.
dist: .venv/developed
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m build --wheel --outdir dist core
	$(BIN)/twine check --strict dist/*

# The same, then the web console with the tour's users on port 8186, until Ctrl-C.
demo-console: .venv/installed
	$(BIN)/python examples/tour.py --console

# Two servers on one store in etcd: what clients see when parts fail. Needs Debian's etcd-server,
# etcd-client and nginx-light.
demo-cluster: .venv/installed
	$(PIP) --editable '.[etcd]'
	$(BIN)/python examples/cluster.py

# Needs Debian's chromium: the pictures of docs/console.md.
console-screens: .venv/developed
	PYTHONPATH=tests $(BIN)/python docs/console_screens.py

# A server on port 8186: an influxd on this machine may use 8086.
serve: .venv/installed
	$(BIN)/headgate serve --bind 127.0.0.1:8186 --store headgate.db

# Each start of a program would compile it anew if it could not be kept compiled.
test test-fast test-end-to-end: export PYTHONDONTWRITEBYTECODE =

# The tests, but for those with real programs. `make test T=tests/unit/grammar` runs a part.
test: .venv/developed
	$(BIN)/pytest --numprocesses $(JOBS) --dist worksteal $(or $(T),tests/unit tests/http tests/process)

# The tests with real programs: stores, directories, browsers, clusters, examples, pages of docs/.
test-end-to-end: .venv/developed
	$(BIN)/pytest --numprocesses $(JOBS) --dist worksteal --etcd -m "real or end_to_end" \
		$(or $(T),tests/real tests/end_to_end tests/unit/engine)

# Tests without processes: three cases of each table, few random examples, no slow case; on files
# in memory.
test-fast: .venv/developed
	$(if $(wildcard /dev/shm/.),TMPDIR=/dev/shm) $(BIN)/pytest --numprocesses $(FAST_JOBS) \
		--dist worksteal --hypothesis-profile fast -m "not slow" --sample 3 \
		$(or $(T),tests/unit tests/http)

# The share of the lines that the tests without processes run, with four times as many random
# examples as `make test`; fails below the known share.
coverage: .venv/developed
	$(if $(wildcard /dev/shm/.),TMPDIR=/dev/shm) $(BIN)/pytest --numprocesses $(JOBS) \
		--dist worksteal --hypothesis-profile full --cov --cov-report=term:skip-covered \
		$(or $(T),tests/unit tests/http)

# The linter, the formatter and two type checkers.
check: .venv/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

# Applies ruff's fixes and format.
format: .venv/developed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The table of docs/performance.md, beside influxd and other policy engines: a quarter of an hour.
# Needs Debian's influxdb and wrk.
bench: .venv/developed
	PYTHONPATH=tests $(BIN)/python benchmarks/speed.py --json speed.json --plot docs/performance.svg
	$(BIN)/python benchmarks/peers.py
	PYTHONPATH=tests $(BIN)/python benchmarks/every_request.py

# The CPU time of the hot paths, relative to a bare application on uvicorn: half a minute.
hot-path: .venv/developed
	$(BIN)/python benchmarks/hot_path.py

# Needs Debian's nginx, victoria-metrics and wrk.
bench-parts: .venv/developed
	$(BIN)/python benchmarks/grammar.py
	PYTHONPATH=tests $(BIN)/python benchmarks/gateway.py
	PYTHONPATH=tests $(BIN)/python benchmarks/shell_start.py
	PYTHONPATH=tests $(BIN)/python benchmarks/shell_completion.py
	PYTHONPATH=tests $(BIN)/python benchmarks/shell_formats.py
	PYTHONPATH=tests $(BIN)/python benchmarks/tokens.py
	PYTHONPATH=tests $(BIN)/python benchmarks/key_sets.py

# Needs tmux: the pictures of docs/shell.md.
screens: .venv/developed
	PYTHONPATH=tests $(BIN)/python docs/screens.py

# Writes the tables of docs/settings.md from the options.
settings-page: .venv/developed
	$(BIN)/python docs/settings_tables.py

# `make long` lists the long checks; `make long CHECK=kills` runs one of them.
long:
	@$(if $(CHECK),$(MAKE) --no-print-directory long-$(CHECK),awk '/^# /{text = text substr($$0, 3) " "; next} \
		/^long-[a-z-]+:/{split(substr($$0, 6), name, ":"); printf "%-14s%s\n", name[1], text} {text = ""}' Makefile)

# Requests of one tenant for another's data. Needs Debian's influxdb and victoria-metrics.
long-isolation: .venv/developed
	$(if $(N),N=$(N)) $(BIN)/pytest tests/end_to_end/gateway/test_isolation.py

# Needs Debian's influxdb: statements with hostile bound values, and what a store makes of them.
long-injection: .venv/developed
	$(if $(N),N=$(N)) $(BIN)/pytest tests/real/gateway/test_injection.py

# The parser beside InfluxDB's. Needs Debian's influxdb.
long-fuzz-grammar: .venv/developed
	PYTHONPATH=tests $(BIN)/python tests/fuzz_grammar.py $(N) $(SEED)

# Random requests to a server: no 500, no traceback, no hang.
long-fuzz-http: .venv/developed
	PYTHONPATH=tests $(BIN)/python tests/fuzz_http.py $(N) $(SEED)

# Ten minutes: the leader of an etcd, then a PostgreSQL's primary, is killed 30 times while four
# processes write. Needs Debian's etcd-server, etcd-client and postgresql.
long-store-kills: .venv/developed
	PYTHONPATH=tests $(BIN)/python tests/store_kills.py etcd 30 5
	PYTHONPATH=tests $(BIN)/python tests/store_kills.py postgresql 30 5

# Two minutes: the steps of the Dockerfile in a fresh Debian, and the container's command. Needs root
# and Debian's debootstrap.
long-container:
	$(PYTHON) deploy/container/prove.py

# The recorded HTTP scenarios on a store in etcd, from `make long CHECK=conformance-etcd F=FOLDER`.
long-conformance-etcd: .venv/developed
	PYTHONPATH=tests $(BIN)/python tests/conformance/on_etcd.py $(F) 2

# Ten minutes: kill -9 of two workers in the middle of changes, 500 times.
long-kills: .venv/developed
	HEADGATE_TEST_KILLS=500 $(BIN)/pytest -s tests/end_to_end/server/test_kill.py -k 2

# Faults of the user store's file. Needs root, for a small disk, and Debian's faketime.
long-faults: .venv/developed
	PYTHONPATH=tests $(BIN)/python tests/faults.py

# 5,000 statements and logins against a model, half of them in a second process.
long-model: .venv/developed
	HEADGATE_TEST_EXAMPLES=200 $(BIN)/pytest -s tests/process/engine/test_model.py

# What wrong passwords cost other users. Needs Debian's wrk.
long-guessing: .venv/developed
	PYTHONPATH=tests $(BIN)/python benchmarks/guessing.py
	PYTHONPATH=tests $(BIN)/python benchmarks/flood.py

# The console with 100,000 users, and what its pages cost /query.
long-console: .venv/developed
	PYTHONPATH=tests $(BIN)/python benchmarks/console.py

# First logins while 100 guesses a second come from 5,000 addresses: some minutes.
long-slow-flood: .venv/developed
	PYTHONPATH=tests $(BIN)/python benchmarks/slow_flood.py

# What the most expensive accepted queries cost before they are authorized.
long-worst-query: .venv/developed
	$(BIN)/python benchmarks/worst_query.py

# Whether the time of a failed login reveals that a user exists.
long-enumeration: .venv/developed
	PYTHONPATH=tests $(BIN)/python benchmarks/enumeration.py

# A minute of a thousand connections. Needs Debian's wrk.
long-soak: .venv/developed
	$(BIN)/python benchmarks/soak.py

# Removes .venv and all caches.
clean:
	rm -rf .venv build dist .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade pip
	$(PIP) --editable .
	touch $@

.venv/developed: .venv/installed
	$(PIP) --editable . --group dev
	touch $@
