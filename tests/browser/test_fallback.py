"""A page whose browser, or whose proxy, lets no WebSocket through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import console_errors, forget_script, on_new_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.chat_page import ChatPage

pytestmark = pytest.mark.browser

BLOCKED = """
window.attempts = 0;
window.WebSocket = class extends EventTarget {
  constructor() {
    super();
    window.attempts += 1;
    setTimeout(() => this.onclose?.({ code: 1006, reason: "" }), 0);
  }
  send() {}
  close() {}
};
"""


def test_the_chat_goes_on_without_websocket(visit: Callable[[], ChatPage]) -> None:
    ada, grace = visit(), visit()
    key = on_new_document(ada.driver, BLOCKED)
    try:
        ada.driver.refresh()
        ada.sign_in("Ada")
        grace.sign_in("Grace")
        assert ada.driver.execute_script("return window.attempts") == 2
        ada.send("over events")
        grace.wait_message("over events")
        grace.send("over a WebSocket")
        ada.wait_message("over a WebSocket")
        ada.wait_delivered("over events")
        ada.click("[data-tool=wire]")
        assert ada.texts("#wire-source")[0].startswith("There are no frames")
    finally:
        forget_script(ada.driver, key)
        console_errors(ada.driver)
