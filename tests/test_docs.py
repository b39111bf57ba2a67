"""What the documentation shows is what happens: its examples are run.

Blocks that start with ``>>>`` are doctests; the blocks of a page share their names, as for a reader
who types them in one after the other. The programs of the tutorial are run too.
"""

from __future__ import annotations

import doctest
import http.client
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import rfc6455
from tests.helpers import async_test
from tests.programs import PRINTED_PORT, background, free_port, on_port, run

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
TUTORIAL = (DOCS / "tutorial.md").read_text("utf-8")
BLOCK = re.compile(r"^```python\n(>>> .*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_public_name_is_in_the_reference() -> None:
    reference = (DOCS / "reference.md").read_text("utf-8")
    documented = re.findall(r"^\.\. auto\w+:: (\w+)(?![\w.])", reference, re.MULTILINE)
    assert sorted([*documented, "__version__"]) == sorted(rfc6455.__all__)


class Examples(NamedTuple):
    """A copy of the examples, and the port on which it serves."""

    folder: Path
    port: int


def pages() -> list[Path]:
    return sorted(
        page
        for page in DOCS.rglob("*.md")
        if "_build" not in page.parts and BLOCK.search(page.read_text("utf-8"))
    )


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(DOCS)))
def test_examples_give_what_the_page_says(page: Path) -> None:
    text = page.read_text("utf-8")
    parser = doctest.DocTestParser()
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    report: list[str] = []
    names: dict[str, object] = {}
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start(1))
        example = parser.get_doctest(block[1], names, page.name, str(page), line)
        runner.run(example, out=report.append, clear_globs=False)
        names = example.globs
    assert runner.tries > 0
    assert runner.failures == 0, "".join(report)


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    """The folder of examples, on a port of its own."""
    port = free_port()
    for example in EXAMPLES.iterdir():
        if example.suffix in {".py", ".html"}:
            text = example.read_text("utf-8")
            if PRINTED_PORT in text:
                text = on_port(text, port)
            (tmp_path / example.name).write_text(text, "utf-8")
    return Examples(tmp_path, port)


def test_tutorial_shows_what_its_client_prints(examples: Examples) -> None:
    shown = re.search(
        r"^\$ python examples/echo_client.py\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL
    )
    assert shown is not None
    with background(examples.folder / "echo_server.py"):
        printed = run(examples.folder / "echo_client.py")
    latency = re.compile(r"[0-9.]+ ms")
    assert latency.sub("", printed) == latency.sub("", shown[1])


@pytest.mark.parametrize("name", ["echo_server.py", "together.py"])
def test_tutorial_shows_what_its_servers_print(examples: Examples, name: str) -> None:
    with background(examples.folder / name) as first_line:
        assert f"$ python examples/{name}\n{first_line}" in on_port(TUTORIAL, examples.port)


def test_a_client_outlives_a_restart_of_the_server(examples: Examples) -> None:
    page = (DOCS / "howto" / "reconnect.md").read_text("utf-8")
    shown = re.search(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert shown is not None
    lines = shown[1].splitlines(keepends=True)
    with subprocess.Popen(
        [sys.executable, "-X", "dev", str(examples.folder / "reconnecting_client.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdout is not None
        try:
            with background(examples.folder / "echo_server.py"):
                assert client.stdout.readline() == lines[0]
            assert client.stdout.readline() == lines[1]
            with background(examples.folder / "echo_server.py"):
                assert client.stdout.readline() == lines[2]
        finally:
            client.send_signal(signal.SIGINT)
        # What took long says more about the machine than about the program.
        slow = re.compile(r"^Executing .* took .* seconds\n", re.MULTILINE)
        assert slow.sub("", client.communicate()[1]) == ""


def test_what_one_browser_sends_all_browsers_show(examples: Examples) -> None:
    @async_test
    async def two_browsers() -> None:
        uri = f"ws://localhost:{examples.port}/"
        origin = f"http://localhost:{examples.port}"
        async with rfc6455.connect(uri, origin=origin) as first:
            await first.send("one")
            assert await first.recv() == "one"
            async with rfc6455.connect(uri, origin=origin) as second:
                await second.send("two")
                assert await second.recv() == "two"
                assert await first.recv() == "two"

    with background(examples.folder / "together.py"):
        two_browsers()


def test_page_elsewhere_may_not_connect(examples: Examples) -> None:
    @async_test
    async def intruder() -> None:
        with pytest.raises(rfc6455.HandshakeError) as refused:
            await rfc6455.connect(
                f"ws://localhost:{examples.port}/", origin="http://elsewhere.example"
            )
        assert refused.value.status == 403

    with background(examples.folder / "together.py"):
        intruder()


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/favicon.ico", 404)])
def test_page_is_on_the_same_port(examples: Examples, path: str, status: int) -> None:
    with background(examples.folder / "together.py"):
        connection = http.client.HTTPConnection("localhost", examples.port)
        connection.request("GET", path)
        response = connection.getresponse()
        page = response.read().decode()
        connection.close()
    assert response.status == status
    assert ("<title>Together</title>" in page) is (status == 200)


@pytest.mark.parametrize("page", ["topics/best-practices.md", "comparison.md"])
def test_pages_name_tests_that_are_there(page: str) -> None:
    named = re.findall(r"`(tests/[\w./]+)(?:::(\w+))?`", (DOCS / page).read_text("utf-8"))
    assert len(named) > 30
    for path, test in named:
        text = (ROOT / path).read_text("utf-8")
        assert f"def {test}(" in text if test else "def test_" in text


def rows_of(section: str) -> list[list[str]]:
    """The rows of the table in a section of the comparison, without its head."""
    page = (DOCS / "comparison.md").read_text("utf-8")
    _, _, text = page.partition(f"\n## {section}\n")
    lines = [line for line in text.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_comparison_shows_all_that_it_claims() -> None:
    claimed = [feature for feature, ours, *_ in rows_of("Features") if not ours.startswith("N")]
    shown = rows_of("What shows ours")
    assert [feature for feature, _ in shown] == claimed
    assert len(claimed) > 25
    demands = rows_of("What users ask for most")
    assert [number for number, *_ in demands if number != "also"] == [*map(str, range(1, 26))]
    assert all("`tests/" in row[-1] for row in shown + demands)


def test_comparison_has_a_cell_for_each_library() -> None:
    assert {len(row) for row in rows_of("Features")} == {13}
