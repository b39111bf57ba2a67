"""Run the Autobahn|Testsuite against rfc6455, and compare the results with the expected ones.

Which cases run against which role, in how many processes, and what a difference is must live
here. This file does not know how `wstest` is built (`install.py`), how our client is driven
(`client.py`), or anything of our package but the command that starts its echo server.

    python tests/autobahn/run.py                 all cases, both roles
    python tests/autobahn/run.py --quick         what continuous integration runs
    python tests/autobahn/run.py --role server --cases '6.4.*,9.1.6'
    python tests/autobahn/run.py --url ws://127.0.0.1:9001     some other server
    python tests/autobahn/run.py --publish       all cases, and their results into the documentation

The exit status is 0 if every result is the expected one, 1 if one differs or is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
EXPECTED = HERE / "expected"
WORK = ROOT / ".autobahn"
REPORTS = WORK / "reports"
PYTHON = WORK / "venv" / "bin" / "python"
WSTEST = WORK / "venv" / "bin" / "wstest"
SUITE = WORK / "venv" / "suite.json"

AGENT = "rfc6455"
ROLES = ("server", "client")

# 9.* sends messages of 16 MiB, and 4 MiB in fragments of 64 bytes with an empty one at the end.
ECHO_SERVER = (
    *(sys.executable, "-u", "-m", "rfc6455", "echo", "--host", "127.0.0.1", "--port", "0"),
    *("--max-message-size", str(16 * 2**20), "--max-fragments", str(4 * 2**20 // 64 + 1)),
)
ECHO_CLIENT = (sys.executable, "-u", "-m", "tests.autobahn.client", "--agent", AGENT)

# The longest case gives its peer 480 seconds and tells nothing meanwhile. (seconds)
START_TIMEOUT = 30.0
SILENCE_TIMEOUT = 600.0

CATEGORIES = {
    "1": "Framing",
    "2": "Pings and pongs",
    "3": "Reserved bits",
    "4": "Opcodes",
    "5": "Fragmentation",
    "6": "UTF-8",
    "7": "Closing",
    "9": "Limits, performance",
    "10": "Miscellaneous",
    "12": "permessage-deflate",
    "13": "Its parameters",
}
DEFLATE = ("12.*", "13.*")
# Of each corpus and each set of parameters: messages below and at the size from which ours are
# compressed, and fragmented ones.
DEFLATE_SAMPLE = ("12.*.3", "12.*.4", "12.*.11", "13.*.3", "13.*.4", "13.*.11")
# Here the suite restricts neither side's compressor.
TAKEOVER = ("12.*",)

# So many differing cases are printed with their wire logs, and so many last lines of each log.
WIRE_LOGS = 10
WIRE_LOG_LINES = 30

BEHAVIORS = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED")
COLUMNS = ("cases", *BEHAVIORS, "bad close", "seconds")
GOOD_CLOSES = ("OK", "INFORMATIONAL")

# What the suite reports of one case; its keys are the suite's.
Detail: TypeAlias = dict[str, Any]


class Outcome(NamedTuple):
    """The suite's two verdicts on one case."""

    behavior: str
    close: str

    def __str__(self) -> str:
        return f"{self.behavior}, close {self.close}"


# -- Cases, outcomes, expectations: pure ------------------------------------------------------


def case_key(case: str) -> tuple[int, ...]:
    """Sort cases by their numbers: 9.2.1 stands before 10.1.1."""
    return tuple(map(int, case.split(".")))


def matches(case: str, pattern: str) -> bool:
    """Tell whether a case fits a pattern: `*` stands for one number, at the end for all.

    `9.*` are all cases of category 9; `12.*.3` are 12.1.3, 12.2.3 and so on, not 12.1.13.
    """
    numbers, wanted = case.split("."), pattern.split(".")
    if wanted[-1] == "*":
        wanted.pop()
        numbers = numbers[: len(wanted)]
    return len(numbers) == len(wanted) and all(
        part in ("*", number) for number, part in zip(numbers, wanted, strict=True)
    )


def fits(case: str, patterns: Iterable[str]) -> bool:
    return any(matches(case, pattern) for pattern in patterns)


def select(
    cases: Iterable[str], patterns: Sequence[str], *, deflate: bool, quick: bool
) -> list[str]:
    """Return the cases that fit any of the patterns, in order.

    Of 12.* and 13.*, only a sample is `quick`, and without `deflate` there is none.

    Raises:
        ValueError: If a pattern fits no case at all.
    """
    cases = sorted(cases, key=case_key)
    for pattern in patterns:
        if not any(matches(case, pattern) for case in cases):
            raise ValueError(f"no case fits {pattern!r}")
    compression = (DEFLATE_SAMPLE if quick else DEFLATE) if deflate else ()
    return [
        case
        for case in cases
        if fits(case, patterns) and (fits(case, compression) or not fits(case, DEFLATE))
    ]


def deal(cases: Sequence[str], shards: int) -> list[list[str]]:
    """Deal the cases out to that many shards at most, to and fro.

    Neighbouring cases grow in size: dealt in one direction, the last shard would always get the
    largest of each round.
    """
    order = [*range(shards), *reversed(range(shards))]
    hands: list[list[str]] = [[] for _ in range(shards)]
    for number, case in enumerate(cases):
        hands[order[number % len(order)]].append(case)
    return [hand for hand in hands if hand]


def merge(indexes: Iterable[Mapping[str, Mapping[str, Detail]]]) -> dict[str, dict[str, Detail]]:
    """Merge the index files of several shards: agent -> case -> entry, cases in order.

    Raises:
        ValueError: If two shards report the same case.
    """
    merged: dict[str, dict[str, Detail]] = {}
    for index in indexes:
        for agent, entries in index.items():
            known = merged.setdefault(agent, {})
            if twice := known.keys() & entries.keys():
                raise ValueError(f"reported twice: {', '.join(sorted(twice, key=case_key))}")
            known.update(entries)
    return {
        agent: {case: entries[case] for case in sorted(entries, key=case_key)}
        for agent, entries in sorted(merged.items())
    }


def outcomes(entries: Mapping[str, Detail]) -> dict[str, Outcome]:
    return {
        case: Outcome(entry["behavior"], entry["behaviorClose"]) for case, entry in entries.items()
    }


def differences(
    expected: Mapping[str, Outcome], found: Mapping[str, Outcome], cases: Iterable[str]
) -> dict[str, str]:
    """Return, for each of the cases whose outcome is not the expected one, what differs."""
    result = {}
    for case in cases:
        if case not in found:
            result[case] = "no result"
        elif case not in expected:
            result[case] = f"{found[case]}; nothing is expected yet"
        elif found[case] != expected[case]:
            result[case] = f"{found[case]}; expected {expected[case]}"
    return result


def write_expected(expected: Mapping[str, Outcome]) -> str:
    """Return the text of a file of expectations: JSON, sorted, one case a line."""
    lines = [
        f'  "{case}": {json.dumps(list(expected[case]))}' for case in sorted(expected, key=case_key)
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_expected(text: str) -> dict[str, Outcome]:
    return {case: Outcome(*outcome) for case, outcome in json.loads(text).items()}


def counts(entries: Mapping[str, Detail]) -> list[tuple[str, str, list[float]]]:
    """Return number, name and `COLUMNS` of each category that was run, and of all together.

    The seconds are the sum of the cases' times.
    """
    total = [0.0] * len(COLUMNS)
    rows: list[tuple[str, str, list[float]]] = []
    for category, name in CATEGORIES.items():
        group = [entry for case, entry in entries.items() if matches(case, f"{category}.*")]
        if not group:
            continue
        row = [
            len(group),
            *(sum(entry["behavior"] == behavior for entry in group) for behavior in BEHAVIORS),
            sum(entry["behaviorClose"] not in GOOD_CLOSES for entry in group),
            sum(entry["duration"] for entry in group) / 1000,
        ]
        total = [a + b for a, b in zip(total, row, strict=True)]
        rows.append((category, name, row))
    return [*rows, ("", "together", total)]


def table(entries: Mapping[str, Detail]) -> str:
    """Return one line for each category: its verdicts, and the sum of its cases' times."""
    head = f"{'category':24}" + "".join(f"  {column:>7}" for column in COLUMNS)
    lines = [head]
    for category, name, values in counts(entries):
        cells = [
            f"  {value:{max(7, len(column))}.{1 if column == 'seconds' else 0}f}"
            for column, value in zip(COLUMNS, values, strict=True)
        ]
        lines.append(f"{category:>2} {name:21}" + "".join(cells))
    return "\n".join(lines)


def negotiated(detail: Detail) -> str:
    """Return the extension that the server's handshake response accepted, or nothing."""
    found = re.search(r"(?im)^sec-websocket-extensions:\s*(.*?)\s*$", detail["httpResponse"])
    return found[1] if found else ""


def takes_over(extension: str, side: str) -> bool:
    """Tell whether that side, client or server, may refer back to earlier messages."""
    return extension != "" and f"{side}_no_context_takeover" not in extension


def lacking_takeover(extensions: Mapping[str, str]) -> dict[str, str]:
    """Return the cases, of those with an accepted extension each, where a side must forget."""
    return {
        case: f"not both sides take their context over: {extension or 'no compression'}"
        for case, extension in extensions.items()
        if not (takes_over(extension, "client") and takes_over(extension, "server"))
    }


def wire_log(detail: Detail) -> str:
    """Return a case's handshake and the end of its wire log: frames, octets and timers."""
    head = [*detail["httpRequest"].split("\r\n"), *detail["httpResponse"].split("\r\n")]
    lines = []
    for entry in detail["wirelog"]:
        match entry:
            case ["RO" | "TO" as kind, [size, octets], *_]:
                line = f"{size} octets: {octets}"
            case ["RF" | "TF" as kind, [size, text], opcode, fin, rsv, *_]:
                line = f"frame opcode={opcode} fin={fin} rsv={rsv} {size} octets: {text}"
            case [kind, *rest]:
                line = " ".join(map(str, rest))
        lines.append(f"{kind:4} {line}")
    lines.append("TCP dropped by the suite" if detail["droppedByMe"] else "TCP dropped by us")
    return "\n".join([*filter(None, head), *lines[-WIRE_LOG_LINES:]])


# -- Processes --------------------------------------------------------------------------------


class Program:
    """A running program whose output is read line by line and kept in a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: TextIO) -> None:
        self._process = process
        self._log = log

    async def lines(self, silence: float | None = SILENCE_TIMEOUT) -> AsyncIterator[str]:
        """Yield the lines of the output until it ends.

        Raises:
            TimeoutError: If there is no line for `silence` seconds.
        """
        output = self._process.stdout
        assert output is not None
        while True:
            async with asyncio.timeout(silence):
                line = (await output.readline()).decode("utf-8", "replace")
            if not line:
                break
            self._log.write(line)
            yield line
        # A process that is signalled in the moment of its end confuses asyncio's child watcher.
        await self._process.wait()

    async def search(self, pattern: str) -> re.Match[str]:
        """Return the match of the first line that holds the pattern.

        Raises:
            RuntimeError: If the program ends without such a line.
        """
        async for line in self.lines(START_TIMEOUT):
            if found := re.search(pattern, line):
                return found
        raise RuntimeError(f"the program ended early; see {self._log.name}")

    async def keep_log(self) -> None:
        """Read the output until the program ends."""
        async for _ in self.lines(silence=None):
            pass


@asynccontextmanager
async def program(*command: str | Path, log: Path) -> AsyncIterator[Program]:
    """Run a program, and terminate it on leaving if it has not ended by itself."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
    )
    try:
        with _open_log(log) as file:
            yield Program(process, file)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _open_log(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", buffering=1)


# -- One run of one role ----------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What is to be run: some cases against one role, with the results in one folder."""

    role: str
    cases: Sequence[str]
    shards: int = 2
    url: str | None = None
    takeover: bool = False

    @property
    def name(self) -> str:
        return f"{self.role}-takeover" if self.takeover else self.role

    @property
    def folder(self) -> Path:
        return REPORTS / self.name

    @property
    def expected(self) -> Path:
        return EXPECTED / f"{self.role}.json"


class Progress:
    """Tells now and then how many cases have begun."""

    STEP = 50

    def __init__(self, run: Run) -> None:
        self._run = run
        self._begun = 0

    def advance(self) -> None:
        self._begun += 1
        if self._begun % self.STEP == 0:
            print(f"{self._run.name}: {self._begun} of {len(self._run.cases)} cases", flush=True)


def write_specification(run: Run, shard: int, cases: Sequence[str], url: str) -> Path:
    folder = run.folder / f"shard-{shard}"
    specification: dict[str, Any] = {
        "outdir": str(folder),
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
        "contextTakeover": run.takeover,
    }
    if run.role == "server":
        specification["servers"] = [{"agent": AGENT, "url": url}]
    else:
        specification["url"] = url
    folder.mkdir(parents=True)
    path = folder.with_suffix(".json")
    path.write_text(json.dumps(specification))
    return path


async def run_server_shard(
    run: Run, shard: int, cases: Sequence[str], url: str, progress: Progress
) -> None:
    """Have one fuzzing client run its cases against the server at the URL."""
    specification = write_specification(run, shard, cases, url)
    command = (PYTHON, "-u", WSTEST, "-m", "fuzzingclient", "-s", specification)
    async with program(*command, log=specification.with_suffix(".log")) as suite:
        async for line in suite.lines():
            if line.startswith("Running test case"):
                progress.advance()


async def run_client_shard(run: Run, shard: int, cases: Sequence[str], progress: Progress) -> None:
    """Let our client meet a fuzzing server of its own, which offers only the shard's cases."""
    specification = write_specification(run, shard, cases, "ws://127.0.0.1:0")
    log = specification.with_suffix(".log")
    # Without -u 0 every fuzzing server would serve a page on port 8080.
    command = (PYTHON, "-u", WSTEST, "-m", "fuzzingserver", "-u", "0", "-s", specification)
    async with program(*command, log=log) as suite:
        port = (await suite.search(r"Listening on port (\d+)"))[1]
        reading = asyncio.create_task(suite.keep_log())
        echo = (*ECHO_CLIENT, f"ws://127.0.0.1:{port}", "--cases", str(len(cases)))
        async with program(*echo, log=log.with_suffix(".client.log")) as client:
            async for line in client.lines():
                if found := re.match(r"case (\d+)(: .*)?", line):
                    progress.advance()
                    if found[2]:
                        print(f"{run.name} {cases[int(found[1]) - 1]}{found[2]}", flush=True)
        reading.cancel()


async def run_shards(run: Run) -> None:
    """Run all cases of a role; the results are in the folder afterwards."""
    shutil.rmtree(run.folder, ignore_errors=True)
    hands = deal(run.cases, run.shards)
    progress = Progress(run)
    if run.role == "client":
        async with asyncio.TaskGroup() as group:
            for shard, cases in enumerate(hands):
                group.create_task(run_client_shard(run, shard, cases, progress))
        return
    async with tested_server(run) as url, asyncio.TaskGroup() as group:
        for shard, cases in enumerate(hands):
            group.create_task(run_server_shard(run, shard, cases, url, progress))


@asynccontextmanager
async def tested_server(run: Run) -> AsyncIterator[str]:
    """Yield the URL of the server under test: the given one, or that of our own echo server."""
    if run.url:
        yield run.url
        return
    run.folder.mkdir(parents=True)
    async with program(*ECHO_SERVER, log=run.folder / "server.log") as server:
        port = (await server.search(r"127\.0\.0\.1:(\d+)"))[1]
        reading = asyncio.create_task(server.keep_log())
        yield f"ws://127.0.0.1:{port}"
        if reading.done():
            raise RuntimeError(f"the server ended; see {run.folder / 'server.log'}")
        reading.cancel()


def collect(run: Run) -> dict[str, Detail]:
    """Bring the shards' reports together in the run's folder and return the entries by case."""
    indexes = []
    for shard in run.folder.glob("shard-*/"):
        if (shard / "index.json").exists():
            indexes.append(json.loads((shard / "index.json").read_text(encoding="utf-8")))
        for path in shard.glob("*_case_*"):
            path.rename(run.folder / path.name)
        shutil.rmtree(shard)
    index = merge(indexes)
    text = json.dumps(index, indent=1)
    (run.folder / "index.json").write_text(text, encoding="utf-8")
    subprocess.run([PYTHON, HERE / "report.py", run.folder], check=True)
    return index.get(AGENT, {})


def read_detail(run: Run, entry: Detail) -> Detail:
    detail: Detail = json.loads((run.folder / entry["reportfile"]).read_text(encoding="utf-8"))
    return detail


def judge(run: Run, entries: Mapping[str, Detail], extensions: Mapping[str, str]) -> bool:
    """Tell what differs from the expected results, and return whether nothing does."""
    expected = read_expected(run.expected.read_text())
    differing = differences(expected, outcomes(entries), run.cases)
    if run.takeover:
        differing |= lacking_takeover(extensions)
    for case, difference in differing.items():
        print(f"{run.name} {case}: {difference}")
    for case in [case for case in differing if case in entries][:WIRE_LOGS]:
        detail = read_detail(run, entries[case])
        print(f"\n{case}: {detail['result']} {detail['resultClose']}\n{wire_log(detail)}")
    number = len(differing) or "no"
    print(f"\n{run.name}: {number} differences from {run.expected.relative_to(ROOT)}")
    return not differing


def update_expected(run: Run, entries: Mapping[str, Detail]) -> bool:
    """Make the results the expected ones, unless one is missing; return whether that was done."""
    missing = [case for case in run.cases if case not in entries]
    if missing:
        print(f"\n{run.name}: no result of {', '.join(missing)}")
        return False
    known = read_expected(run.expected.read_text()) if run.expected.exists() else {}
    run.expected.write_text(write_expected(known | outcomes(entries)))
    print(f"\n{run.expected.relative_to(ROOT)} is written anew")
    return True


def circumstances(run: Run, seconds: float) -> dict[str, object]:
    """Return what a reader of the results must know: when, of what, on what they were made."""

    def say(*command: str) -> str:
        return subprocess.check_output(command, cwd=ROOT, text=True).strip()

    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": say("git", "rev-parse", "--short=12", "HEAD"),
        "changed": bool(say("git", "status", "--porcelain", "--untracked-files=no")),
        "implementation": say(
            sys.executable, "-c", "import rfc6455; print(rfc6455.implementation)"
        ),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "shards": run.shards,
        "seconds": round(seconds, 1),
    }


def execute(run: Run, *, update: bool) -> bool:
    """Run the cases of one role, print their table, and return whether all is as expected."""
    print(f"\n{run.name}: {len(run.cases)} cases in {run.shards} shards", flush=True)
    start = time.monotonic()
    asyncio.run(run_shards(run))
    seconds = time.monotonic() - start
    entries = collect(run)
    (run.folder / "run.json").write_text(json.dumps(circumstances(run, seconds)))
    print(f"\n{run.name}: {len(entries)} results in {seconds:.1f} s\n\n{table(entries)}")
    extensions = {
        case: negotiated(read_detail(run, entries[case])) for case in entries if fits(case, DEFLATE)
    }
    if extensions:
        by_client, by_server = (
            sum(takes_over(extension, side) for extension in extensions.values())
            for side in ("client", "server")
        )
        print(
            f"\nof {len(extensions)} cases of permessage-deflate, the client may take its context"
            f" over in {by_client}, the server in {by_server}"
        )
    print(f"\n{(run.folder / 'index.html').relative_to(ROOT)} has the details")
    if update and not run.takeover:
        return update_expected(run, entries)
    return judge(run, entries, extensions)


# -- Command line -----------------------------------------------------------------------------


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the Autobahn|Testsuite against rfc6455.")
    parser.add_argument("--role", choices=(*ROLES, "both"), default="both")
    parser.add_argument(
        "--cases", default="*", metavar="PATTERNS", help="such as 1.*,12.*.3,9.1.6 (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="only a sample of 12.* and 13.*")
    parser.add_argument(
        "--deflate",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether to run 12.* and 13.*, permessage-deflate (default: yes)",
    )
    parser.add_argument(
        "--context-takeover",
        action="store_true",
        help="only the run with context takeover both ways (role server, of 12.* unless --cases)",
    )
    parser.add_argument("--shards", type=int, default=2, help="processes a role (default: 2)")
    parser.add_argument("--url", help="test the server at this URL instead of ours")
    parser.add_argument(
        "--update-expected", action="store_true", help="make the results the expected ones"
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help="put the results into the documentation, if they are complete and as expected",
    )
    options = parser.parse_args(arguments)
    if options.publish and (options.url or options.quick or options.cases != "*"):
        parser.error("what is published is all cases of both roles")
    if options.url:
        options.role = "server"
        if options.update_expected:
            parser.error("what is expected of us is not learnt from another server")
    return options


def plan(cases: Iterable[str], options: argparse.Namespace) -> list[Run]:
    """Return the runs that the options ask for.

    The suite's client always offers client_no_context_takeover, and forgets each message when
    the server accepts that. A further run, of category 12, goes without the offer.

    Raises:
        ValueError: If there is no case to run.
    """
    patterns = options.cases.split(",")
    if options.context_takeover:
        pattern = TAKEOVER if options.cases == "*" else patterns
        chosen = select(cases, pattern, deflate=True, quick=options.quick)
        return [Run("server", chosen, options.shards, options.url, takeover=True)]
    chosen = select(cases, patterns, deflate=options.deflate, quick=options.quick)
    if not chosen:
        raise ValueError("nothing is left to run")
    roles = ROLES if options.role == "both" else (options.role,)
    runs = [Run(role, chosen, options.shards, options.url) for role in roles]
    again = [case for case in chosen if fits(case, TAKEOVER)]
    if again and "server" in roles:
        runs.append(Run("server", again, options.shards, options.url, takeover=True))
    return runs


@contextmanager
def only_one() -> Iterator[None]:
    """Wait until no other run in this checkout would build the suite or write reports."""
    WORK.mkdir(exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another run in this checkout to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    options = parse_arguments()
    # Ended from outside, take along the servers and clients that were started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with only_one():
        subprocess.run([sys.executable, HERE / "install.py"], check=True)
        try:
            runs = plan(json.loads(SUITE.read_text())["cases"], options)
        except ValueError as error:
            sys.exit(f"run.py: {error}")
        verdicts = [execute(run, update=options.update_expected) for run in runs]
    if options.publish and all(verdicts):
        subprocess.run([sys.executable, "-m", "tests.autobahn.publish"], cwd=ROOT, check=True)
    sys.exit(not all(verdicts))


if __name__ == "__main__":
    main()
