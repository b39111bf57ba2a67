"""What pyproject.toml cannot say: which folders become which packages.

In a checkout the chat is the folder ``server/``, started by ``python -m server``. An installed
wheel must not put a package of so common a name into people's environments, so there the same
folder is the package ``rfc6455_chat``. This file knows nothing about dependencies or metadata.
"""

from setuptools import find_packages, setup

chat = ["rfc6455_chat", *(f"rfc6455_chat.{name}" for name in find_packages("server"))]

setup(
    packages=[*find_packages(include=["rfc6455", "rfc6455.*"]), *chat],
    package_dir={"rfc6455_chat": "server"},
)
