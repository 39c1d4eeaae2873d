"""Fixtures for tests with the sign-in providers of other projects."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.openid_provider import OpenIDProvider, ProviderClient, installed
from support.saml import SamlProxy, pysaml2_python


@pytest.fixture(scope="session")
def openid_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the OpenID provider and its packages of npm."""
    return installed(tmp_path_factory)


@pytest.fixture
def start_openid(openid_package: Path, tmp_path: Path) -> Iterator[Callable[..., OpenIDProvider]]:
    """Starts OpenID providers: `start_openid(*clients, **options)`. All end with the test."""
    with ExitStack() as stack:

        def start(*clients: ProviderClient, **options: Any) -> OpenIDProvider:
            provider = OpenIDProvider(openid_package, tmp_path, clients, **options)
            return stack.enter_context(provider)

        yield start


@pytest.fixture(scope="session")
def saml_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python that has pysaml2."""
    return pysaml2_python(tmp_path_factory)


@pytest.fixture
def start_saml(saml_python: Path) -> Iterator[Callable[..., SamlProxy]]:
    """Starts Apache before a server: `start_saml(port, accounts)`. All end with the test."""
    with ExitStack() as stack:

        def start(backend: int, accounts: Any = None) -> SamlProxy:
            return stack.enter_context(SamlProxy(saml_python, backend, accounts))

        yield start
