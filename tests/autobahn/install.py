"""Build `wstest`, the Autobahn|Testsuite, into `.autobahn/venv` of this checkout.

Where the suite comes from and how it is put together must live here; what it runs on is in
`requirements.txt`. This file does not know how the suite's text is converted from Python 2
(`convert.py` does) or which cases are run (`run.py` does).

    python tests/autobahn/install.py [--force]

Nothing of the suite is stored in the repository. A second run does nothing until one of
these files or the interpreter changes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORK = HERE.parents[1] / ".autobahn"
VENV = WORK / "venv"
PYTHON = VENV / "bin" / "python"
DOWNLOADS = WORK / "downloads"
# Written last, so that a build that was interrupted is begun again.
STAMP = VENV / "suite.json"

SOURCES = {
    "autobahntestsuite": (
        "25.10.1",
        "b083d6e15330fc16f3e5f0975cce2b15f21bfa0c6db09547316b1852c6dbd6df",
    ),
    "autobahn": (
        "0.10.9",
        "3fecc1e2a26a0421128ddcfb4e577f0bc669dd65d0e0fdad1c773965cbcef75a",
    ),
}

NUMBER_OF_CASES = 517
LIST_CASES = """
import json
from autobahntestsuite.case import CaseBasename, Cases
print(json.dumps([case.__name__[len(CaseBasename):].replace("_", ".") for case in Cases]))
"""
WSTEST = """\
import warnings
warnings.simplefilter("ignore")
from autobahntestsuite.wstest import run
run()
"""


def log(message: str) -> None:
    print(f"autobahn: {message}", flush=True)


def pip(*arguments: str) -> None:
    options = ("-qq", "--disable-pip-version-check")
    subprocess.run([PYTHON, "-m", "pip", *options, *arguments], check=True)


def fetch(name: str, version: str, sha256: str) -> Path:
    """Return the path of a source distribution, downloaded with pip unless it is there."""
    archive = DOWNLOADS / f"{name}-{version}.tar.gz"
    if archive.exists() and hashlib.sha256(archive.read_bytes()).hexdigest() == sha256:
        return archive
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    requirement = DOWNLOADS / f"{name}.txt"
    requirement.write_text(f"{name}=={version} --hash=sha256:{sha256}\n")
    pip(
        "download",
        *("--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"),
        *("--requirement", str(requirement), "--dest", str(DOWNLOADS)),
    )
    return archive


def build() -> list[str]:
    """Build the environment from scratch and return the identifiers of the suite's cases."""
    if VENV.exists():
        shutil.rmtree(VENV)
    log(f"building the suite in {VENV}, once")
    venv.create(VENV, with_pip=True)
    pip("install", "--no-deps", "--requirement", str(HERE / "requirements.txt"))
    sources = VENV / "sources"
    for name, (version, sha256) in SOURCES.items():
        with tarfile.open(fetch(name, version, sha256)) as archive:
            archive.extractall(sources, filter="data")
    variables = {"base": str(VENV), "platbase": str(VENV)}
    site_packages = sysconfig.get_path("purelib", "venv", variables)
    subprocess.run([PYTHON, HERE / "convert.py", sources, site_packages], check=True)
    shutil.rmtree(sources)
    (VENV / "bin" / "wstest").write_text(f"#!{PYTHON}\n{WSTEST}")
    (VENV / "bin" / "wstest").chmod(0o755)
    suite = Path(site_packages) / "autobahntestsuite"
    subprocess.run([PYTHON, "-W", "ignore", "-m", "compileall", "-q", suite], check=True)
    listing = subprocess.check_output([PYTHON, "-W", "ignore", "-c", LIST_CASES], text=True)
    cases: list[str] = json.loads(listing.splitlines()[-1])
    if len(cases) != NUMBER_OF_CASES:
        raise SystemExit(f"expected {NUMBER_OF_CASES} cases, the suite has {len(cases)}")
    return cases


def fingerprint() -> str:
    """Return what tells one build from another: our own text and the interpreter."""
    names = ("install.py", "convert.py", "requirements.txt")
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in names)).hexdigest()
    return f"{digest} {sys.version}"


def up_to_date(wanted: str) -> bool:
    return STAMP.exists() and json.loads(STAMP.read_text())["fingerprint"] == wanted


def main() -> None:
    parser = argparse.ArgumentParser(description="Build wstest into .autobahn/venv.")
    parser.add_argument("--force", action="store_true", help="build even when it is up to date")
    arguments = parser.parse_args()
    wanted = fingerprint()
    if up_to_date(wanted) and not arguments.force:
        return
    WORK.mkdir(exist_ok=True)
    (WORK / ".gitignore").write_text("*\n")
    cases = build()
    STAMP.write_text(json.dumps({"fingerprint": wanted, "cases": cases}))
    log(f"{VENV / 'bin' / 'wstest'} is ready, {len(cases)} cases")


if __name__ == "__main__":
    main()
