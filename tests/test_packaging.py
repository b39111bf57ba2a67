"""What an installed wheel puts into an environment: names, data, commands, and nothing else.

The wheel is built from a copy of the sources, installed beside nothing, and used from there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import metadata, requires
from pathlib import Path

import pytest

import rfc6455

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "rfc6455", "server")

pytestmark = pytest.mark.slow


def build(sources: Path, **environment: str) -> Path:
    """Builds a wheel of this checkout, from a copy in ``sources``."""
    sources.mkdir(exist_ok=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.so")
            shutil.copytree(ROOT / name, sources / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, sources / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    built = subprocess.run(
        command,
        cwd=sources,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = (sources / "dist").glob("*.whl")
    return path


def install(wheel: Path, target: Path) -> Path:
    """Installs a wheel into a folder, without its dependencies."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", str(target), str(wheel)], check=True)
    return target


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout."""
    return build(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which that wheel is installed."""
    return install(wheel, tmp_path_factory.mktemp("installed"))


def python(installed: Path, code: str) -> str:
    """Runs code that sees the installed wheel before all else, and returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(installed)!r})\n{code}"],
        cwd=installed.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_top_level_names(wheel: Path) -> None:
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    info = f"rfc6455-{rfc6455.__version__}.dist-info"
    assert names == {"rfc6455", "rfc6455_chat", "pytest_rfc6455", info}


def test_every_module_and_data_file_is_in_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, package in (("rfc6455", "rfc6455"), ("server", "rfc6455_chat")):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix not in {".c", ".h", ".pyc", ".so"}:
                assert f"{package}/{path.relative_to(ROOT / folder).as_posix()}" in names


def test_installed_modules_are_those_of_the_wheel(installed: Path) -> None:
    code = "import rfc6455, rfc6455_chat.app as chat; print(rfc6455.__file__, chat.__file__)"
    assert all(Path(path).is_relative_to(installed) for path in python(installed, code).split())


def test_pytest_loads_the_plugin_without_the_library(installed: Path) -> None:
    code = (
        "import sys; from importlib.metadata import distribution;"
        " (point,) = [e for e in distribution('rfc6455').entry_points if e.group == 'pytest11'];"
        " print(point.load().__file__, 'rfc6455' in sys.modules)"
    )
    path, imported = python(installed, code).split()
    assert Path(path).is_relative_to(installed)
    assert imported == "False"


def test_without_a_compiler_the_library_is_pure_python(tmp_path: Path) -> None:
    wheel = build(tmp_path / "sources", CC="false")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]
    installed = install(wheel, tmp_path / "installed")
    assert python(installed, "import rfc6455; print(rfc6455.implementation)") == "python"


def test_commands_start(installed: Path) -> None:
    for script in ("rfc6455", "rfc6455-chat"):
        assert (installed / "bin" / script).exists()
    library = "from rfc6455.cli import main; sys.argv[1:] = ['--version']; main()"
    assert python(installed, library) == f"rfc6455 {rfc6455.__version__}"
    chat = "from rfc6455_chat.__main__ import main; sys.argv[1:] = ['--help']; main()"
    assert "--port" in python(installed, chat)


def test_the_core_needs_h11_alone() -> None:
    needed = [line for line in requires("rfc6455") or [] if "extra ==" not in line]
    assert [line.partition(">")[0] for line in needed] == ["h11"]


def test_installed_version_is_that_of_the_checkout() -> None:
    assert metadata("rfc6455")["Version"] == rfc6455.__version__
    assert f'version = "{rfc6455.__version__}"' in (ROOT / "pyproject.toml").read_text("utf-8")
