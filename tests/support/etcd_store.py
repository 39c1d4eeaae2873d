"""Stores in a real etcd, and what tests do with them."""

import os
import subprocess
from collections.abc import Callable
from contextlib import closing

from headgate_engine import Audit, Tx
from headgate_engine.stores.shared.etcd_log import EtcdLog
from headgate_engine.stores.shared.store import SharedStore, create_store
from support.etcd import Etcd

HASH = "$2b$04$" + "." * 53
AUDIT = Audit("root", "127.0.0.1", "TEST")


def opened(etcd: Etcd, prefix: str, **options: float) -> SharedStore:
    return SharedStore(EtcdLog(etcd.address(), prefix), **options)  # type: ignore[arg-type]


def made(etcd: Etcd, prefix: str) -> str:
    with closing(EtcdLog(etcd.address(), prefix)) as log:
        assert create_store(log) and not create_store(log)
    return prefix


def add(name: str) -> Callable[[Tx], None]:
    return lambda tx: tx.add_user(name, HASH, False)


def compact(etcd: Etcd, revision: int) -> None:
    endpoint = f"http://127.0.0.1:{etcd.ports[0]}"
    command = ["etcdctl", "--endpoints", endpoint, "compact", str(revision)]
    environment = os.environ | {"ETCDCTL_API": "3"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
