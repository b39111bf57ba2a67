"""Write the pictures of the page: ``python -m tests.browser.screenshots``.

What must live here: the conversation that the pictures show. What this file does not know: how
the page is driven, which is ``chat_page.py``.
"""

from __future__ import annotations

import base64
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.chat_page import ChatPage
from tests.browser.chat_server import ROOT, ChatServer
from tests.browser.chromium import DESKTOP, PHONE, chromium, use_media, use_screen

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

TALK = (
    (1, "Morning! Did the long-poll fallback go out?"),
    (0, "Last night. One socket per tab now, and the proxy finally forwards Upgrade."),
    (0, "The fallback page is gone for good."),
    (1, "Nice. I restarted the staging server twice to see what happens."),
    (1, "Every page came back by itself within two seconds and nothing was sent twice."),
    (0, "That is the jitter doing its job. Notes are at https://datatracker.ietf.org/doc/rfc6455/"),
    (2, "Good morning, both. Can we look at the close codes in #protocol after lunch?"),
    (0, "Yes. I will bring the trace with the 1006s."),
    (1, "The one from Tuesday, please. It has the half-open ones too."),
)


def talk(pages: list[ChatPage]) -> None:
    """Have three people talk, as far as the pictures need it."""
    ada, grace, linus = pages
    for page, name in ((ada, "Ada Lovelace"), (grace, "Grace Hopper"), (linus, "Linus")):
        page.sign_in(name)
    ada.create_room("deployments")
    ada.send("Version 1.4 is on its way")
    grace.create_room("protocol")
    linus.create_room("coffee")
    grace.open_entry("other-rooms", "deployments")
    grace.wait_room("deployments")
    for page in pages:
        page.open_entry("joined-rooms", "lobby")
        page.wait_room("lobby")
    for who, text in TALK:
        pages[who].send(text)
        for page in pages:
            page.wait_message(text)
    grace.open_entry("joined-rooms", "deployments")
    grace.send("All nodes are green")
    grace.send("Closing the window")
    grace.open_entry("joined-rooms", "lobby")
    linus.open_entry("member-list", "Ada Lovelace")
    linus.send("Do you have five minutes?")
    linus.open_entry("joined-rooms", "lobby")
    ada.wait_unread("people", "Linus", 1)
    ada.wait_unread("joined-rooms", "deployments", 2)
    grace.write("Then I will")
    ada.wait_text("#typing-text", "Grace Hopper is typing")


def capture(driver: Chrome, path: Path) -> None:
    """Write what the viewport shows as PNG."""
    answer = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    path.write_bytes(base64.b64decode(answer["data"]))
    print(path)


def main(folder: Path, url: str | None = None) -> None:
    """Run the talk and write the pictures into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if url is None:
            server = ChatServer()
            server.start()
            stack.callback(server.stop)
            url = server.url
        drivers = [stack.enter_context(chromium()) for _ in range(3)]
        pages = [ChatPage(driver) for driver in drivers]
        for page in pages:
            use_screen(page.driver, DESKTOP)
            # A still picture: no caret, no drawer on its way, and the same clock for everybody.
            use_media(page.driver, prefers_reduced_motion="reduce")
            page.driver.execute_cdp_cmd("Emulation.setLocaleOverride", {"locale": "en-GB"})
            page.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})
            page.open(url)
        ada = pages[0]
        talk(pages)
        capture(ada.driver, folder / "chat.png")
        use_media(ada.driver, prefers_reduced_motion="reduce", prefers_color_scheme="dark")
        capture(ada.driver, folder / "chat-dark.png")
        use_media(ada.driver, prefers_reduced_motion="reduce")
        use_screen(ada.driver, PHONE, phone=True)
        capture(ada.driver, folder / "chat-phone.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "img", *sys.argv[2:3])
