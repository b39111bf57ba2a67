"""Live feeds: the latest values, a small chart of each, and the rate."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.chat_page import ChatPage
    from tests.browser.chat_server import ChatServer

pytestmark = pytest.mark.browser


def values(page: ChatPage) -> dict[str, str]:
    # Read one after the other, while there may be more of them.
    return dict(zip(page.texts(".value-key"), page.texts(".value-now"), strict=False))


def test_values_are_shown_as_they_change(ada: ChatPage, server: ChatServer) -> None:
    server.publish("feeds", feed="prices", values={"TEA": 10, "PIE": {"price": 3.5}})
    ada.click("[data-tool=live]")
    ada.wait(lambda: values(ada) == {"TEA": "10", "PIE": "3.5"}, "the first values")
    assert ada.texts(".feed h3") == ["prices"]
    for price in (12, 11, 14.25):
        server.publish("feeds", feed="prices", values={"TEA": price})
        ada.wait_text(".value-now", str(price))
    chart = ada.find(".value .spark")
    assert chart.aria_role in ("image", "img")
    # The first value may be told twice: with the answer, and as the latest of its interval.
    said = r"TEA: the last [45] values lie between 10 and 14\.25; first 10, now 14\.25"
    assert re.fullmatch(said, chart.accessible_name)
    points = str(ada.find(".value .spark polyline").get_attribute("points")).split()
    assert (points[0], points[-1]) == ("0.0,30.0", "120.0,2.0")
    assert [point.partition(",")[2] for point in points[-3:]] == ["16.8", "23.4", "2.0"]
    assert ada.texts(".value-change") == ["▲ 3.25", ""]


def test_the_rate_is_told(ada: ChatPage, server: ChatServer) -> None:
    server.publish("feeds", feed="prices", values={"TEA": 1})
    ada.click("[data-tool=live]")
    ada.wait_shown(".value-key")
    for price in range(200):
        server.publish("feeds", feed="prices", values={"TEA": price})
    ada.wait(lambda: values(ada).get("TEA") == "199", "the latest value")
    (rate,) = ada.texts(".feed-rate")
    assert rate.startswith("Each value at most every 0.1 s. ")
    # Of the many, only as many came as may.
    chart = ada.find(".value .spark").accessible_name
    match = re.search(r"the last (\d+) values", chart)
    assert match
    assert int(match[1]) < 100


def test_nobody_pays_for_what_nobody_looks_at(ada: ChatPage, server: ChatServer) -> None:
    server.publish("feeds", feed="prices", values={"TEA": 1})
    ada.click("[data-tool=live]")
    ada.wait_shown(".value-key")
    ada.click("#tools-close")
    assert ada.focused() == "Live feeds"
    server.publish("feeds", feed="prices", values={"TEA": 2})
    ada.click("[data-tool=live]")
    ada.wait(lambda: values(ada).get("TEA") == "2", "the latest value")


def test_a_feed_goes_on_after_a_lost_connection(ada: ChatPage, stoppable: ChatServer) -> None:
    stoppable.publish("feeds", feed="prices", values={"TEA": 1})
    ada.click("[data-tool=live]")
    ada.wait_shown(".value-key")
    stoppable.stop()
    ada.wait_status("waiting")
    stoppable.start()
    ada.driver.execute_script("document.getElementById('try-now').click()")
    ada.wait_status("online")
    stoppable.publish("feeds", feed="prices", values={"TEA": 2})
    ada.wait(lambda: values(ada).get("TEA") == "2", "the latest value")
