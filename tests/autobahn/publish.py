"""Put the results of a complete run into the documentation.

What the documentation shows of a run must live here: the tables in `docs/autobahn.md`, and the
suite's own overview of each run. This file does not know how cases are run (`run.py`).

    python tests/autobahn/run.py --publish     run all, then this
    python -m tests.autobahn.publish           only this, from the last run
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from tests.autobahn.run import AGENT, COLUMNS, REPORTS, ROOT, counts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.autobahn.run import Detail

PAGE = ROOT / "docs" / "autobahn.md"
FOLDER = ROOT / "docs" / "_static" / "autobahn"
BEGIN = "<!-- Written by tests/autobahn/publish.py. -->\n"
END = "<!-- Up to here. -->\n"

RUNS = {
    "server": "Our server",
    "client": "Our client",
    "server-takeover": "Our server, where both sides take their context over",
}
# Times are those of a loaded machine, and no benchmark.
SHOWN = [column for column in COLUMNS if column != "seconds"]


def section(title: str, run: Mapping[str, Any], entries: Mapping[str, Detail], link: str) -> str:
    """Return what the page tells of one run."""
    twin = "the native twin" if run["implementation"] == "native" else "pure Python"
    lines = [
        f"### {title}\n",
        f"{run['date']}, commit {run['commit']}, {run['python']}, {twin}; {len(entries)} cases in"
        f" {run['seconds']:.0f} seconds, {run['shards']} at a time."
        f' <a href="{link}">The suite\'s overview of this run</a>.\n',
        "| category | |" + "".join(f" {column} |" for column in SHOWN),
        "| ---: | --- |" + " ---: |" * len(SHOWN),
    ]
    for category, name, values in counts(entries):
        cells = [f"{value:.0f}" if value else "" for value in values[: len(SHOWN)]]
        lines.append(f"| {category} | {name} |" + "".join(f" {cell} |" for cell in cells))
    return "\n".join(lines) + "\n"


def replace_results(page: str, results: str) -> str:
    """Return the page with other results between its two marks.

    Raises:
        ValueError: If the page has not got the marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for results")
    return f"{before}{begin}\n{results}\n{end}{after}"


def overview(html: str, title: str, run: Mapping[str, Any]) -> str:
    """Return the suite's overview without what is not published: other hosts' pictures, and a page
    of some 40 kB for each case.
    """
    html = re.sub(r"(?s)<center><a [^>]*>\s*<img .*?</a></center>", "", html)
    html = re.sub(r'<a href="\w+_case_\w+\.html">(.*?)</a>', r"\1", html)
    html = html.replace("<body>", f"<body>\n<h1>{title}, commit {run['commit']}</h1>")
    return "".join(line.rstrip() + "\n" for line in html.splitlines() if line.strip())


def main() -> None:
    sections = []
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, title in RUNS.items():
        folder = REPORTS / name
        run = json.loads((folder / "run.json").read_text())
        if run["changed"]:
            sys.exit("publish.py: the code that was run is in no commit")
        entries = json.loads((folder / "index.json").read_text())[AGENT]
        sections.append(section(title, run, entries, f"_static/autobahn/{name}.html"))
        html = (folder / "index.html").read_text(encoding="utf-8")
        (FOLDER / f"{name}.html").write_text(overview(html, title, run), encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(replace_results(page, "\n".join(sections)), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)} and {FOLDER.relative_to(ROOT)} are written")


if __name__ == "__main__":
    main()
