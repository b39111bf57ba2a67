"""Fixtures of the browser tests: the server, and two people in front of their browsers.

Knows nothing about what the tests prove. Browsers and the server live for the whole run, because
starting them takes longer than most tests; each test gets fresh pages, and what it must not leave
behind (violations of the Content-Security-Policy, errors in the console) is checked at its end.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from server.accounts import Accounts
from server.tokens import Role
from tests.browser.chat_page import ChatPage
from tests.browser.chat_server import ChatServer
from tests.browser.chromium import (
    DESKTOP,
    chromium,
    console_errors,
    csp_violations,
    use_media,
    use_screen,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome


PASSWORD = "correct horse"


@pytest.fixture(scope="session")
def server() -> Iterator[ChatServer]:
    """The chat server; a test that stops it starts it again."""
    # On a busy machine it may take a while until a page is loaded again.
    server = ChatServer("--feeds", "prices=0.1", "--frames", "--away-after", "60")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ada, who administers, and Bob, with their passwords, which take long to hash."""
    users = tmp_path_factory.mktemp("accounts") / "users.db"
    with Accounts(str(users)) as accounts:
        accounts.add("Ada", PASSWORD, Role.ADMIN)
        accounts.add("Bob", PASSWORD)
    return users


@pytest.fixture
def guarded(
    accounts: Path, tmp_path: Path, browsers: tuple[Chrome, Chrome]
) -> Iterator[ChatServer]:
    """A server that asks everybody for a token, with nothing said on it yet."""
    users = shutil.copy(accounts, tmp_path)
    server = ChatServer("--users", str(users), "--auth", "token")
    server.start()
    yield server
    for driver in browsers:
        # A page that stays would look for this server while the next test runs.
        driver.get("about:blank")
        console_errors(driver)
    server.stop()


@pytest.fixture(scope="session")
def browsers() -> Iterator[tuple[Chrome, Chrome]]:
    """Two browsers that share nothing."""
    with ExitStack() as stack:
        yield stack.enter_context(chromium()), stack.enter_context(chromium())


@pytest.fixture
def visit(server: ChatServer, browsers: tuple[Chrome, Chrome]) -> Iterator[Callable[[], ChatPage]]:
    """Opens the page in the next browser, before a name is given.

    At the end no policy was violated, the console shows no error, and the names are free again. A
    test that causes an error on purpose takes it out of the console itself.
    """
    idle = iter(browsers)
    pages = []

    def visit() -> ChatPage:
        page = ChatPage(next(idle))
        pages.append(page)
        use_screen(page.driver, DESKTOP)
        use_media(page.driver)
        page.open(server.url)
        return page

    for driver in browsers:
        # A page that another test has left may still look for a server that is gone.
        if driver.current_url != "about:blank":
            driver.get("about:blank")
        console_errors(driver)
    yield visit
    violations = [csp_violations(page.driver) for page in pages]
    errors = [console_errors(page.driver) for page in pages]
    for page in pages:
        page.leave()
    pages[0].wait(lambda: server.stats()["users"] == 0, "the server to notice that they are gone")
    assert [found for found in violations if found] == []
    assert [found for found in errors if found] == []


@pytest.fixture
def stoppable(
    server: ChatServer, browsers: tuple[Chrome, Chrome], visit: object
) -> Iterator[ChatServer]:
    """The server, which runs again at the end whatever the test did."""
    yield server
    server.stop()
    server.start()
    for driver in browsers:
        # Without a server a browser complains about each attempt, also by the fallback, and about
        # nothing else.
        unreachable = ("WebSocket connection to", "net::ERR_CONNECTION_REFUSED")
        errors = console_errors(driver)
        assert [e for e in errors if not any(text in e for text in unreachable)] == []


@pytest.fixture
def pages(visit: Callable[[], ChatPage]) -> tuple[ChatPage, ChatPage]:
    """Two people's pages, before they have given their names."""
    return visit(), visit()


@pytest.fixture
def ada_and_grace(pages: tuple[ChatPage, ChatPage]) -> tuple[ChatPage, ChatPage]:
    """Ada and Grace, both in the lobby and aware of each other."""
    ada, grace = pages
    ada.sign_in("Ada")
    grace.sign_in("Grace")
    for page in pages:
        page.wait_members("Ada", "Grace")
    return pages


@pytest.fixture
def ada(visit: Callable[[], ChatPage]) -> ChatPage:
    """Ada, alone in the lobby."""
    ada = visit()
    ada.sign_in("Ada")
    return ada
