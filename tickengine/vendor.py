"""Finding and recognising a vendor library. Nothing is imported from the packages that carry one:
importing them would load their own copy."""

from __future__ import annotations

import ctypes as ct
import importlib.metadata
import os
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass

from ._errors import ConfigError, TickEngineError, VendorLibraryError
from ._shim import VendorInfo, lib

ENVIRONMENT = "TICKENGINE_MDAPI"

# Packages that carry the market-data library, best first: newer versions are what today's fronts need.
# The last one talks to the loopback front.
PACKAGES: tuple[str, ...] = (
    "openctp-ctp",
    "ctp-python",
    "CtpPlus",
    "vnpy_ctp",
    "ctpwrapper",
    "AlgoPlus",
    "python-ctp-deps",
)
PLAIN_FTD_PACKAGE = "python-ctp-deps"

_MD_FILE = re.compile(r"(^|/)libthostmduserapi(_se)?(-[0-9a-f]{8})?\.so$")
_SYSTEM_NAMES = ("libthostmduserapi_se.so", "thostmduserapi_se.so", "libthostmduserapi.so")


@dataclass(frozen=True)
class Vendor:
    """A library that was found: where, by which way, and what it is."""

    path: str
    source: str
    version: str = ""
    generation: str = ""
    layout: int = 0
    error: str = ""


def package_libraries(package: str) -> list[str]:
    """Paths of the market-data library in an installed package; empty if it has none."""
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return []
    found = []
    for entry in distribution.files or []:
        if _MD_FILE.search(str(entry)):
            path = os.path.realpath(str(distribution.locate_file(entry)))
            if os.path.exists(path) and path not in found:
                found.append(path)
    if not found and package == PLAIN_FTD_PACKAGE:  # older pips record its data files oddly
        for base in (sysconfig.get_path("data"), sysconfig.get_path("purelib")):
            path = os.path.join(base, "ctp_deps", "lib", "libthostmduserapi.so")
            if os.path.exists(path):
                found.append(path)
    return found


def compatible_library() -> str:
    """The library of our own that speaks the plain protocol: for demonstrations and tests."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "libcompatible.so")


def _candidates() -> Iterator[tuple[str, str]]:
    from_environment = os.environ.get(ENVIRONMENT)
    if from_environment:
        yield from_environment, f"environment variable {ENVIRONMENT}"
    for package in PACKAGES:
        for path in package_libraries(package):
            yield path, f"package {package}"
    for name in _SYSTEM_NAMES:
        for directory in os.environ.get("LD_LIBRARY_PATH", "").split(":"):
            if directory and os.path.exists(os.path.join(directory, name)):
                yield os.path.join(directory, name), "LD_LIBRARY_PATH"


def probe(path: str, source: str = "path", override_version: str = "") -> Vendor:
    """Load and recognise the library at *path*.

    The library stays loaded in this process. Raises `VendorLibraryError` or `NotFoundError`.
    """
    info = VendorInfo()
    lib().vendor_probe(os.fsencode(path), override_version.encode(), ct.byref(info))
    return Vendor(path, source, info.version.decode("ascii", "replace").strip(), info.generation.decode(), info.layout)


def candidates() -> list[tuple[str, str]]:
    """Every library that can be found, with where it was found; the first is what `resolve` uses."""
    seen: dict[str, str] = {}
    for path, source in _candidates():
        seen.setdefault(path, source)
    return list(seen.items())


def resolve(library: str | None) -> tuple[str, str]:
    """Which library to use: (path, how it was found).

    Args:
        library: a path; the name of an installed package; ``"compatible"`` for our own; None to look
            in ``TICKENGINE_MDAPI``, the known packages and ``LD_LIBRARY_PATH``, in this order.

    Raises:
        ConfigError: the path or package does not exist or has no library.
        VendorLibraryError: nothing was found.
    """
    if library == "compatible":
        if not os.path.exists(compatible_library()):
            raise ConfigError(
                f"{compatible_library()!r} does not exist; install tickengine with pip, which compiles it"
            )
        return compatible_library(), "tickengine's own compatible library"
    if library is not None:
        if os.sep in library or library.endswith(".so"):
            if not os.path.exists(library):
                raise ConfigError(f"vendor library {library!r} does not exist")
            return os.path.abspath(library), "path"
        paths = package_libraries(library)
        if not paths:
            raise ConfigError(
                f"package {library!r} is not installed or carries no market-data library; "
                f"known ones: {', '.join(PACKAGES)}"
            )
        return paths[0], f"package {library}"
    found = candidates()
    if not found:
        raise VendorLibraryError(
            "resolve",
            -8,
            "no vendor library was found: install one (pip install 'tickengine[ctp]'), "
            f"set {ENVIRONMENT} to its path, or pass library=",
        )
    path, source = found[0]
    if not os.path.exists(path):
        raise ConfigError(f"{source}: vendor library {path!r} does not exist")
    return path, source


def describe(path: str, source: str) -> Vendor:
    """`probe`, with the failure as a text instead of an exception."""
    try:
        return probe(path, source)
    except TickEngineError as error:
        return Vendor(path, source, error=str(error))
