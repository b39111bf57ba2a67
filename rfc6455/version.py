"""The version of this package, and the name by which a client tells it."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["USER_AGENT", "__version__"]

try:
    __version__ = version("rfc6455")
except PackageNotFoundError:  # pragma: no cover - a checkout that was never installed
    __version__ = "0"

USER_AGENT = f"rfc6455/{__version__}"
