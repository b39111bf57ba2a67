"""The version of this package."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("rfc6455")
except PackageNotFoundError:  # pragma: no cover - a checkout that was never installed
    __version__ = "0"
