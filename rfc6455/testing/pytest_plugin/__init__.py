"""The pytest plugin: fixtures for tests of applications.

What lives here: fixtures and one option. Installed with the package, it does nothing until a test
asks for a fixture; it marks, collects and runs nothing, so that it goes with any other plugin. An
installed package has this folder as ``pytest_rfc6455`` too, by which pytest loads it: so the start
of every pytest does not wait for the import of `rfc6455`, which fixtures do.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

if TYPE_CHECKING:
    from rfc6455.testing.network import Faults, Network

T = TypeVar("T")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that repeats a run."""
    parser.getgroup("rfc6455").addoption(
        "--rfc6455-seed",
        metavar="SEED",
        help="what decides about the chances of rfc6455_network; by default the test's name",
    )


class NetworkFactory(Protocol):
    """What `rfc6455_network` gives."""

    def __call__(
        self, *, to_server: Faults | None = None, to_client: Faults | None = None
    ) -> Network:
        """Makes a network."""


@pytest.fixture
def rfc6455_network(request: pytest.FixtureRequest) -> NetworkFactory:
    """Makes networks with faults: ``rfc6455_network(to_client=Faults(split=1))``.

    What is left to chance depends on the test's name, and so is the same in each run, unless
    ``--rfc6455-seed`` says otherwise. A test that fails tells the seed.
    """
    from rfc6455.testing.network import FAULTLESS, Network

    seed = request.config.getoption("--rfc6455-seed")
    if seed is None:
        seed = str(zlib.crc32(request.node.nodeid.encode()))
    request.node.add_report_section("setup", "rfc6455", f"--rfc6455-seed={seed}")

    def make(*, to_server: Faults | None = None, to_client: Faults | None = None) -> Network:
        return Network(
            to_server=to_server or FAULTLESS, to_client=to_client or FAULTLESS, seed=seed
        )

    return make


@pytest.fixture
def rfc6455_run() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Runs a coroutine with virtual time, and proves that it leaves nothing behind."""
    from rfc6455.testing.clock import run

    return run
