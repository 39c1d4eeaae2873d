"""Runs modules of Ansible's collection community.general, without the processes of a playbook."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

needs_ansible = pytest.mark.skipif(
    shutil.which("ansible-playbook") is None and not os.environ.get("CI"),
    reason="Debian's ansible is not installed",
)

Task = tuple[str, dict[str, Any]]

# Ansible's packages of Debian. They come last in the path: Headgate's own libraries win.
_DEBIAN_PACKAGES = Path("/usr/lib/python3/dist-packages")

_MODULES = "ansible_collections.community.general.plugins.modules"

_DRIVER = """
import importlib, json, os, sys, warnings
warnings.simplefilter("ignore")
sys.path.append(sys.argv[1])
from ansible.module_utils import basic
import requests, influxdb
for name, arguments in json.load(sys.stdin):
    module = importlib.import_module(f"{sys.argv[2]}.{name}")
    sys.stdout.flush()
    child = os.fork()
    if not child:
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
        try:
            module.main()
        except SystemExit:
            sys.stdout.flush()
            os._exit(0)
        except BaseException as error:
            print(json.dumps({"failed": True, "msg": str(error)}), flush=True)
            os._exit(0)
    os.waitpid(child, 0)
"""


def run_modules(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Runs each task, a module's name with its arguments, in a process of its own.

    Returns the modules' results, which have `changed`, or `failed` with `msg`.
    """
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER, str(_DEBIAN_PACKAGES), _MODULES],
        input=json.dumps(tasks),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(results) == len(tasks), done.stdout + done.stderr
    return results
