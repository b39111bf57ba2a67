"""What holds for every test: settings of Hypothesis, services that are missed loudly, and what one
worker of pytest-xdist runs alone.

Knows nothing about the code under test; helpers for that are in ``tests/helpers.py``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

CI = os.environ.get("CI", "").lower() == "true"

# A shell that starts the tests in the background has them ignore Ctrl-C, and every server that they
# start inherits that: it could not be ended as a user would.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The proxies of the machine that runs the tests do not lead to its own loopback.
for _name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[_name]

# A deadline would make a test's verdict depend on the machine's load, and so would a judgement of
# how quickly examples are made.
_PATIENT: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [hypothesis.HealthCheck.too_slow],
}
hypothesis.settings.register_profile("default", **_PATIENT)
hypothesis.settings.register_profile("ci", derandomize=True, print_blob=True, **_PATIENT)
hypothesis.settings.load_profile("ci" if CI else "default")


def _chromium() -> bool:
    browsers = ("chromium", "chromium-browser", "google-chrome")
    return any(map(shutil.which, browsers)) and shutil.which("chromedriver") is not None


def _node_ws() -> bool:
    package = Path(__file__).parents[1] / ".node" / "node_modules" / "ws"
    return shutil.which("node") is not None and package.is_dir()


def _typescript() -> bool:
    return (Path(__file__).parents[1] / ".node" / "node_modules" / ".bin" / "tsc").exists()


def _axe() -> bool:
    script = Path(__file__).parents[1] / ".node" / "node_modules" / "axe-core" / "axe.min.js"
    return script.is_file()


def _asyncapi() -> bool:
    package = Path(__file__).parents[1] / ".node" / "node_modules" / "@asyncapi" / "specs"
    return package.is_dir()


def _libwebsockets() -> bool:
    return shutil.which("libwebsockets-test-server") is not None


def _proxies() -> bool:
    return all(map(shutil.which, ("tinyproxy", "microsocks")))


def _reverse_proxies() -> bool:
    return all(map(shutil.which, ("nginx", "haproxy")))


def _faketime() -> bool:
    return any(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def _systemd() -> bool:
    return shutil.which("systemd-analyze") is not None


def _prometheus() -> bool:
    return all(map(shutil.which, ("promtool", "prometheus")))


def _compiler() -> bool:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None or sys.platform != "linux":
        return False
    command, source = [compiler, "-E", "-xc", "-"], b"#include <zlib.h>"
    return not subprocess.run(command, input=source, capture_output=True, check=False).returncode


# marker -> (is the service there?, what to do when it is not)
SERVICES: dict[str, tuple[Callable[[], bool], str]] = {
    "browser": (_chromium, "needs Chromium: apt-get install chromium chromium-driver"),
    "node": (
        _node_ws,
        "needs Node and its ws: apt-get install nodejs npm; npm i --prefix .node ws",
    ),
    "proxies": (_proxies, "needs apt-get install tinyproxy microsocks"),
    "reverse_proxies": (_reverse_proxies, "needs apt-get install nginx-light haproxy"),
    "systemd": (_systemd, "needs systemd-analyze: apt-get install systemd"),
    "prometheus": (_prometheus, "needs apt-get install prometheus"),
    "typescript": (_typescript, "needs TypeScript: npm i --prefix .node typescript"),
    "axe": (_axe, "needs axe-core: npm i --prefix .node axe-core"),
    "asyncapi": (_asyncapi, "needs AsyncAPI's schemas: npm i --prefix .node @asyncapi/specs"),
    "compiler": (
        _compiler,
        "needs Linux, C and zlib: apt-get install gcc libc6-dev zlib1g-dev",
    ),
    "faketime": (_faketime, "needs apt-get install libfaketime"),
    "libwebsockets": (_libwebsockets, "needs apt-get install libwebsockets-test-server"),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, (available, remedy) in SERVICES.items():
        if item.get_closest_marker(marker) is None or available():
            continue
        if CI:
            pytest.fail(f"{remedy} (CI=true: a missing service is a failure)", pytrace=False)
        pytest.skip(remedy)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for _, remedy in SERVICES.values():
        if tests := sum(remedy in reason for reason in skipped):
            terminalreporter.section("tests that did NOT run", sep="!", red=True)
            terminalreporter.line(f"{tests} tests: {remedy}", red=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deals out files whole, for the sake of their fixtures; the browsers are one worker's."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "tests/browser" if file.startswith("tests/browser/") else file

    return Files(config, log)
