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

from selenium.webdriver.common.keys import Keys

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


NOTICES = (
    ("deploy.staging", "Staging is up", "Build 1.4.0-rc2, 12 checks passed"),
    ("deploy.production", "Waiting for approval", "Ada or Grace, please"),
    ("deploy.production.eu", "Rolled out", "3 of 3 nodes"),
)


def capture(driver: Chrome, path: Path) -> None:
    """Write what the viewport shows as PNG."""
    answer = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    path.write_bytes(base64.b64decode(answer["data"]))
    print(path)


def show_features(pages: list[ChatPage], server: ChatServer, folder: Path) -> None:
    """Go through what the page can do, and take a picture of each."""
    ada, grace, linus = pages

    def picture(name: str) -> None:
        capture(ada.driver, folder / f"{name}.png")

    ada.write(Keys.ARROW_UP)
    ada.wait_shown("#task")
    picture("chat-edit")
    ada.write(Keys.ESCAPE)

    linus.open_entry("other-rooms", "deployments")
    linus.wait_room("deployments")
    linus.send("@Ada Lovelace, can you watch the dashboards?")
    ada.wait_text("#joined-rooms .badge", "@3")
    ada.open_entry("joined-rooms", "deployments")
    ada.wait_text(".divider", "New messages")
    ada.send("Watching")
    for page in (grace, linus):
        page.open_entry("joined-rooms", "deployments")
        page.wait_message("Watching")
    ada.wait_text(".seen", "Seen by Grace Hopper, Linus")
    picture("chat-read-marks")

    ada.click("button[aria-label='Manage Linus']")
    picture("chat-moderation")
    ada.click("#moderate-cancel")

    ada.click("[data-tool=notifications]")
    ada.find("#subscribe-pattern").send_keys("deploy.#", Keys.ENTER)
    ada.wait_text("#patterns code", "deploy.#")
    for topic, title, text in NOTICES:
        server.publish("notifications", topic=topic, title=title, text=text)
    ada.wait_text(".notice-title", NOTICES[-1][1])
    picture("chat-notifications")

    ada.open_entry("joined-rooms", "lobby")
    ada.click("[data-tool=search]")
    ada.find("#search-text").send_keys("last night", Keys.ENTER)
    ada.wait_shown("#search-results mark")
    ada.click("#search-results .result-button")
    ada.wait_shown(".message.found")
    picture("chat-search")

    ada.click("[data-tool=live]")
    enough = """
        const points = [...document.querySelectorAll(".spark polyline")]
          .map((line) => (line.getAttribute("points") ?? "").split(" ").length);
        return points.length === 5 && Math.min(...points) >= 5;
    """
    ada.wait(lambda: ada.driver.execute_script(enough), "lines in the charts")
    picture("chat-live")

    ada.click("[data-tool=wire]")
    ada.wait_status("online")
    ada.wait_shown(".frame")
    ada.send("What does this look like on the wire?")
    ada.wait_delivered("What does this look like on the wire?")
    text = "What does this look like"
    ada.wait(lambda: any(text in shown for shown in ada.texts(".frame-text")), "its frames")
    ada.driver.execute_script(
        """
        const frame = [...document.querySelectorAll(".frame[data-direction=up]")]
          .findLast((node) => node.textContent.includes(arguments[0]));
        frame.querySelector("details").open = true;
        frame.scrollIntoView();
        """,
        text,
    )
    picture("chat-wire")
    ada.click("#tools-close")


def main(folder: Path) -> None:
    """Run the talk and write the pictures into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        server = ChatServer("--ticker", "--frames")
        server.start()
        stack.callback(server.stop)
        drivers = [stack.enter_context(chromium()) for _ in range(3)]
        pages = [ChatPage(driver) for driver in drivers]
        for page in pages:
            use_screen(page.driver, DESKTOP)
            # A still picture: no caret, no drawer on its way, and the same clock for everybody.
            use_media(page.driver, prefers_reduced_motion="reduce")
            page.driver.execute_cdp_cmd("Emulation.setLocaleOverride", {"locale": "en-GB"})
            page.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})
            page.open(server.url)
        ada = pages[0]
        talk(pages)
        capture(ada.driver, folder / "chat.png")
        use_media(ada.driver, prefers_reduced_motion="reduce", prefers_color_scheme="dark")
        capture(ada.driver, folder / "chat-dark.png")
        use_media(ada.driver, prefers_reduced_motion="reduce")
        use_screen(ada.driver, PHONE, phone=True)
        capture(ada.driver, folder / "chat-phone.png")
        use_screen(ada.driver, DESKTOP)
        show_features(pages, server, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "img")
