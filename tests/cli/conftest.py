"""Fixtures of the command line's tests."""

from tests.transports.conftest import certificate

__all__ = ["certificate"]
