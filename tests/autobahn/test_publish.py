"""What is published of a run: the tables, and the suite's overview without what it links to."""

from __future__ import annotations

import re

import pytest

from tests.autobahn import publish
from tests.autobahn.test_run import entry

RUN = {
    "date": "2026-11-25",
    "commit": "0123456789ab",
    "implementation": "native",
    "python": "CPython 3.11.7",
    "shards": 2,
    "seconds": 290.0,
}


def test_section_tells_the_circumstances_and_counts() -> None:
    entries = {"9.1.1": entry(), "10.1.1": entry("FAILED", "WRONG CODE"), "7.1.6": entry()}
    text = publish.section("Our server", RUN, entries, "server.html")
    assert "2026-11-25, commit 0123456789ab, CPython 3.11.7, the native twin" in text
    assert "3 cases in 290 seconds, 2 at a time" in text
    assert [line for line in text.splitlines() if line.startswith("|")] == [
        "| category | | cases | OK | NON-STRICT | INFORMATIONAL | UNIMPLEMENTED | FAILED"
        " | bad close |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| 7 | Closing | 1 | 1 |  |  |  |  |  |",
        "| 9 | Limits, performance | 1 | 1 |  |  |  |  |  |",
        "| 10 | Miscellaneous | 1 |  |  |  |  | 1 | 1 |",
        "|  | together | 3 | 2 |  |  |  | 1 | 1 |",
    ]


def test_results_stand_between_two_marks() -> None:
    page = f"before\n{publish.BEGIN}old\n{publish.END}after\n"
    new = publish.replace_results(page, "new")
    assert new == f"before\n{publish.BEGIN}\nnew\n{publish.END}after\n"
    assert publish.replace_results(new, "new") == new
    with pytest.raises(ValueError, match="no place"):
        publish.replace_results("before\nafter\n", "new")


def test_overview_asks_no_other_host_and_links_to_no_missing_page() -> None:
    html = """<html><body>
      <center><a href="https://example.com/" title="Suite">   <img src="https://example.com/a.png"
        alt="Suite">   </img></a></center>
      <td class="case"><a href="#case_desc_1_1_1">Case 1.1.1</a></td>

      <td class="case_ok"><a href="rfc6455_case_1_1_1.html">Pass</a></td>
    </body></html>"""
    assert publish.overview(html, "Our server", RUN).split("\n") == [
        "<html><body>",
        "<h1>Our server, commit 0123456789ab</h1>",
        '      <td class="case"><a href="#case_desc_1_1_1">Case 1.1.1</a></td>',
        '      <td class="case_ok">Pass</td>',
        "    </body></html>",
        "",
    ]


@pytest.mark.parametrize("name", publish.RUNS)
def test_published_overview_is_whole(name: str) -> None:
    html = (publish.FOLDER / f"{name}.html").read_text(encoding="utf-8")
    assert not re.search(r'src="https?:', html)
    ids = set(re.findall(r'\b(?:name|id)="([^"]*)"', html))
    links = set(re.findall(r'href="([^"]*)"', html))
    assert {link[1:] for link in links if link.startswith("#")} - {""} <= ids
    assert [link for link in links if not link.startswith(("#", "https://"))] == []
    assert f"_static/autobahn/{name}.html" in publish.PAGE.read_text(encoding="utf-8")
