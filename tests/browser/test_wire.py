"""The panel that shows the frames of this very connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By

from tests.browser.chat_page import ChatPage
from tests.browser.chat_server import ChatServer

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

pytestmark = pytest.mark.browser


def frame(page: ChatPage, direction: str, text: str) -> WebElement:
    """The first frame of a direction whose payload has a text in it."""

    def find() -> WebElement | None:
        for node in page.driver.find_elements(
            By.CSS_SELECTOR, f".frame[data-direction={direction}]"
        ):
            payload = node.find_element(By.CSS_SELECTOR, "pre").get_property("textContent")
            if text in str(payload):
                return node
        return None

    found = page.wait(find, f"a frame with {text!r}")
    assert found is not None
    return found


def explained(node: WebElement) -> dict[str, str]:
    """What a frame that was opened says of its header."""
    node.find_element(By.CSS_SELECTOR, "summary").click()
    names = [dt.text for dt in node.find_elements(By.CSS_SELECTOR, "dt")]
    values = [dd.text for dd in node.find_elements(By.CSS_SELECTOR, "dd")]
    return dict(zip(names, values, strict=True))


def test_the_servers_record_shows_each_frame(ada: ChatPage) -> None:
    ada.click("[data-tool=wire]")
    assert ada.texts("#wire-source")[0].startswith("The server's record")
    # The connection is another one, on which the rooms are entered again.
    frame(ada, "up", '"type": "hello"')
    ada.wait_status("online")
    ada.send("over the wire")
    ada.wait_delivered("over the wire")
    sent = explained(frame(ada, "up", '"text": "over the wire"'))
    assert sent["FIN"] == "1: the message ends here"
    assert sent["Opcode"] == "0x1: TEXT"
    assert sent["MASK"] == "1: every client masks"
    assert len(bytes.fromhex(sent["Masking key"])) == 4
    # RFC 6455 §5.2: FIN and the opcode in the first byte, the masking key at the end.
    head = bytes.fromhex(sent["Header"])
    assert head[0] & 0x8F == 0x81
    assert head[-4:] == bytes.fromhex(sent["Masking key"])
    came = explained(frame(ada, "down", '"type": "message"'))
    assert came["MASK"] == "0: no server masks"
    assert "Masking key" not in came
    payloads = [
        str(node.get_property("textContent"))
        for node in ada.driver.find_elements(By.CSS_SELECTOR, ".frame pre")
    ]
    assert not [text for text in payloads if '"type": "frames"' in text]
    # What proves who somebody is, is not for everybody who looks at the screen.
    hellos = [text for text in payloads if '"secret"' in text]
    assert len(hellos) >= 2
    assert all('"secret": "\u2026"' in text or '"secret":"\u2026"' in text for text in hellos)


def test_nothing_is_lost_when_the_panel_opens_and_closes(
    ada_and_grace: tuple[ChatPage, ChatPage],
) -> None:
    ada, grace = ada_and_grace
    ada.create_room("kitchen")
    grace.open_entry("other-rooms", "kitchen")
    grace.wait_room("kitchen")
    for number in range(3):
        ada.click("[data-tool=wire]")
        grace.send(f"opened {number}")
        ada.click("#tools-close")
        grace.send(f"closed {number}")
    ada.wait_message("closed 2")
    expected = [f"{word} {number}" for number in range(3) for word in ("opened", "closed")]
    assert ada.messages() == expected
    # Guests stay who they are.
    ada.send("still here")
    ada.wait_delivered("still here")
    grace.wait_members("Ada", "Grace")


def test_the_list_can_be_held_and_emptied(ada: ChatPage) -> None:
    ada.click("[data-tool=wire]")
    frame(ada, "up", '"type": "hello"')
    ada.wait_status("online")
    ada.click("#wire-pause")
    ada.click("#wire-clear")
    ada.send("not written down")
    ada.wait_delivered("not written down")
    assert ada.texts(".frame") == []
    ada.click("#wire-pause")
    ada.send("written down")
    frame(ada, "up", "written down")


def test_a_long_list_scrolls_in_its_panel(ada: ChatPage) -> None:
    ada.click("[data-tool=wire]")
    frame(ada, "up", '"type": "hello"')
    ada.wait_status("online")
    for number in range(20):
        ada.send(f"line {number}")
    frame(ada, "down", "line 19")
    assert ada.number("html", "scrollHeight") == ada.number("html", "clientHeight")
    assert ada.number("#tool-wire", "scrollHeight") > ada.number("#tool-wire", "clientHeight")


def test_without_the_servers_help_it_shows_what_a_browser_sees(
    browsers: tuple[Chrome, Chrome],
) -> None:
    server = ChatServer()
    server.start()
    try:
        page = ChatPage(browsers[0])
        page.open(server.url)
        page.sign_in("Ada")
        page.click("[data-tool=wire]")
        (source,) = page.texts("#wire-source")
        assert "Masking keys, compression, Pings and Pongs" in source
        page.send("short")
        sent = explained(frame(page, "up", '"text": "short"'))
        assert sent["MASK"] == "not told by the browser"
        assert "Header" not in sent
        frame(page, "down", '"type": "message"')
        page.driver.get("about:blank")
    finally:
        server.stop()
