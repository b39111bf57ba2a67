"""What pyproject.toml cannot say: which folders become which packages, and the native twin.

In a checkout the chat is the folder ``server/``, started by ``python -m server``. An installed
wheel must not put a package of so common a name into people's environments, so there the same
folder is the package ``rfc6455_chat``. The plugin for pytest is a package of its own as well,
``pytest_rfc6455``, so that pytest can load it without the library. Where there is no compiler the
native twin is left out, and ``rfc6455.implementation`` says "python". This file knows nothing about
dependencies or metadata.
"""

import os
from glob import glob

from setuptools import Extension, find_packages, setup

chat = ["rfc6455_chat", *(f"rfc6455_chat.{name}" for name in find_packages("server"))]

native = [
    Extension(
        f"rfc6455._native.{name}",
        [f"rfc6455/_native/{name}.c"],
        depends=glob("rfc6455/_native/*.h"),
        extra_compile_args=[] if os.name == "nt" else ["-O3"],
        optional=True,
    )
    for name in ("codec", "deflate", "head", "inbox", "channel")
]

setup(
    packages=[*find_packages(include=["rfc6455", "rfc6455.*"]), *chat, "pytest_rfc6455"],
    package_dir={"rfc6455_chat": "server", "pytest_rfc6455": "rfc6455/testing/pytest_plugin"},
    ext_modules=native,
)
