"""Finding and recognising a vendor library. Nothing is imported from the packages that carry one:
importing them would load their own copy."""

from __future__ import annotations

import ctypes as ct
import functools
import glob
import importlib.metadata
import logging
import multiprocessing
import os
import re
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TypeVar

from ._errors import ConfigError, TickEngineError, VendorLibraryError
from ._shim import VendorInfo, lib
from ._shim_td import TdInfo

logger = logging.getLogger("tickengine")

ENVIRONMENT = "TICKENGINE_MDAPI"
TRADER_ENVIRONMENT = "TICKENGINE_TDAPI"

# Packages that carry the vendor's libraries, and the folder they are in. Best first: newer versions are
# what today's fronts need; python-ctp-deps talks to the loopback front; the last two are for evaluation
# fronts and for another maker's.
_FOLDERS: dict[str, str] = {
    "openctp-ctp": "openctp_ctp.libs",
    "ctp-python": "ctp",
    "CtpPlus": "CtpPlus/CTP",
    "vnpy_ctp": "vnpy_ctp/api",
    "ctpwrapper": "ctpwrapper",
    "AlgoPlus": "AlgoPlus/CTP",
    "python-ctp-deps": "ctp_deps/lib",
    "openctp-ctp-cp": "openctp_ctp_cp.libs",
    "openctp-tts": "openctp_tts.libs",
}
PACKAGES: tuple[str, ...] = tuple(_FOLDERS)
PLAIN_FTD_PACKAGE = "python-ctp-deps"
_IMPORT_NAMES = {"ctp": "ctp-python", "ctp_deps": "python-ctp-deps"}  # where it is not the package's own


@dataclass(frozen=True)
class Kind:
    """One of the vendor's two libraries: by which names it is found, and what it is called in messages."""

    noun: str
    stem: str
    environment: str
    compatible: str
    """File of our own library of that kind."""

    @property
    def file(self) -> re.Pattern[str]:
        # From the beginning of a path part: "_thostmduserapi.so" is a SWIG module, "libsoptthost..." the
        # option product.
        return re.compile(rf"(^|/)(lib)?{self.stem}(_se)?(-[0-9a-f]{{8}})?\.so$")

    @property
    def system_names(self) -> tuple[str, ...]:
        return tuple(f"{lib}{self.stem}{se}.so" for se in ("_se", "") for lib in ("lib", ""))


MARKET_DATA = Kind("market data", "thostmduserapi", ENVIRONMENT, "libcompatible.so")
TRADER = Kind("trading", "thosttraderapi", TRADER_ENVIRONMENT, "libcompatible_trader.so")

_PROBE_LIMIT_S = 20.0
_LOADER_CONFIGURATION = "/etc/ld.so.conf"
_LOADER_DEFAULTS = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib")


@dataclass(frozen=True)
class Vendor:
    """A library that was found: where, by which way, and what it is."""

    path: str
    source: str
    version: str = ""
    """GetApiVersion(), as the library tells it."""
    generation: str = ""
    """Of the vtables: ``G1`` or ``G2``."""
    layout: int = 0
    """Of DepthMarketData: 1, 2 or 3."""
    layouts_of: str = ""
    """The first version with the struct layouts that are used."""
    api_slots: int = 0
    evaluation: bool = False
    """An evaluation build (``_CP``): production fronts refuse it."""
    error: str = ""
    """Why it is refused; then what is above is not known."""


@dataclass(frozen=True)
class TraderVendor:
    """A trader library that was found: where, by which way, and what it is."""

    path: str
    source: str
    version: str = ""
    """GetApiVersion(), as the library tells it."""
    tables_of: str = ""
    """The version whose slots and layouts are used."""
    api_slots: int = 0
    spi_slots: int = 0
    evaluation: bool = False
    """An evaluation build (``_CP``): production fronts refuse it."""
    error: str = ""
    """Why it is refused; then what is above is not known."""


def package_libraries(package: str, kind: Kind = MARKET_DATA) -> list[str]:
    """Paths of the library of that *kind* in an installed package; empty if it has none.

    The package is not imported: its list of files is read, or, where it has none, the folder that is known
    for it is looked into.
    """
    package = _IMPORT_NAMES.get(package, package)
    try:
        distribution = importlib.metadata.distribution(package)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return []
    names = [str(distribution.locate_file(f)) for f in distribution.files or [] if kind.file.search(str(f))]
    if not names:
        # No list, or (older pips, for data files) one with other paths.
        folder = next((f for p, f in _FOLDERS.items() if _normal(p) == _normal(package)), None)
        bases = [str(distribution.locate_file("")), sysconfig.get_path("data")]
        names = [n for base in bases if folder for n in sorted(glob.glob(f"{glob.escape(base)}/{folder}/*.so"))]
    found = [os.path.realpath(n) for n in names if kind.file.search(n) and os.path.exists(n)]
    return list(dict.fromkeys(found))


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def compatible_library(kind: Kind = MARKET_DATA) -> str:
    """The library of our own that speaks the plain protocol: for demonstrations and tests."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), kind.compatible)


def _candidates(kind: Kind) -> Iterator[tuple[str, str]]:
    from_environment = os.environ.get(kind.environment)
    if from_environment:
        yield from_environment, f"environment variable {kind.environment}"
    for package in PACKAGES:
        for path in package_libraries(package, kind):
            yield path, f"package {package}"
    for directory, source in _loader_directories():
        for name in kind.system_names:
            if directory and os.path.exists(os.path.join(directory, name)):
                yield os.path.join(directory, name), source


def _loader_directories() -> Iterator[tuple[str, str]]:
    """Where the dynamic loader looks, in its order. The configuration may name folders that do not exist."""
    for directory in os.environ.get("LD_LIBRARY_PATH", "").split(":"):
        yield directory, "LD_LIBRARY_PATH"
    for directory in _configured(_LOADER_CONFIGURATION):
        yield directory, f"loader path ({_LOADER_CONFIGURATION})"
    for directory in _LOADER_DEFAULTS:
        yield directory, "loader path"


def _configured(configuration: str, depth: int = 0) -> Iterator[str]:
    try:
        with open(configuration, encoding="utf-8", errors="replace") as f:
            lines = [line.partition("#")[0].split() for line in f]
    except OSError:
        return
    for words in lines:
        if words[:1] == ["include"] and depth < 5:
            for pattern in words[1:]:
                for name in sorted(glob.glob(os.path.join(os.path.dirname(configuration), pattern))):
                    yield from _configured(name, depth + 1)
        elif words and words[0].startswith("/"):
            yield words[0]


def probe(path: str, source: str = "path", override_version: str = "") -> Vendor:
    """Load and recognise the library at *path*. It stays loaded in this process.

    Args:
        override_version: a known version, such as ``"6.7.13"``, to be believed instead of the library's text.

    Raises:
        VendorLibraryError: it cannot be loaded, or its facts do not fit one known version.
        NotFoundError: there is no such file.
    """
    info = VendorInfo()
    lib().vendor_probe(os.fsencode(path), override_version.encode(), ct.byref(info))
    return Vendor(
        path,
        source,
        info.version.decode("ascii", "replace").strip(),
        info.generation.decode(),
        info.layout,
        info.layouts_of.decode(),
        info.api_slots,
        bool(info.evaluation),
    )


def probe_trader(path: str, source: str = "path", override_version: str = "") -> TraderVendor:
    """`probe`, for a trader library. A version that the tables do not have is refused, never guessed."""
    info = TdInfo()
    lib().td_probe(os.fsencode(path), override_version.encode(), ct.byref(info))
    return TraderVendor(
        path,
        source,
        info.version.decode("ascii", "replace").strip(),
        info.tables_of.decode(),
        info.api_slots,
        info.spi_slots,
        bool(info.evaluation),
    )


def warn_of_doubts(found: Vendor | TraderVendor, production: bool, override_version: str) -> None:
    """Log what is likely not meant: an evaluation build for a production front, a version that is believed."""
    if found.evaluation and production:
        logger.warning(
            "%s is an evaluation build (%s): production fronts refuse it; pass production=False for others",
            found.path,
            found.version,
        )
    if override_version:
        logger.warning(
            "%s calls itself %r; version %s is believed instead, and the layouts as of %s are used",
            found.path,
            found.version,
            override_version,
            found.layouts_of if isinstance(found, Vendor) else found.tables_of,
        )


def candidates(kind: Kind = MARKET_DATA) -> list[tuple[str, str]]:
    """Every library that can be found, with where it was found; the first is what `resolve` uses."""
    seen: dict[str, str] = {}
    for path, source in _candidates(kind):
        seen.setdefault(path, source)
    return list(seen.items())


def resolve(library: str | None, kind: Kind = MARKET_DATA) -> tuple[str, str]:
    """Which library to use: (path, how it was found).

    Args:
        library: a path; the name of an installed package; ``"compatible"`` for our own; None to look in
            ``TICKENGINE_MDAPI`` or ``TICKENGINE_TDAPI``, the known packages and the loader's path, in this order.

    Raises:
        ConfigError: the path or package does not exist or has no library.
        VendorLibraryError: nothing was found.
    """
    if library == "compatible":
        if not os.path.exists(compatible_library(kind)):
            raise ConfigError(
                f"{compatible_library(kind)!r} does not exist; install tickengine with pip, which compiles it"
            )
        return compatible_library(kind), "tickengine's own compatible library"
    if library is not None:
        if os.sep in library or library.endswith(".so"):
            if not os.path.exists(library):
                raise ConfigError(f"vendor library {library!r} does not exist")
            return os.path.abspath(library), "path"
        paths = package_libraries(library, kind)
        if not paths:
            raise ConfigError(
                f"package {library!r} is not installed or carries no library for {kind.noun}; "
                f"known ones: {', '.join(PACKAGES)}"
            )
        return paths[0], f"package {library}"
    found = candidates(kind)
    if not found:
        raise VendorLibraryError(
            "resolve",
            -8,
            f"no vendor library was found for {kind.noun}: install one (pip install 'tickengine[ctp]'), "
            f"set {kind.environment} to its path, or pass library=",
        )
    path, source = found[0]
    if not os.path.exists(path):
        raise ConfigError(f"{source}: vendor library {path!r} does not exist")
    return path, source


def describe(path: str, source: str, override_version: str = "") -> Vendor:
    """`probe` in a process of its own, with a failure as a text instead of an exception.

    Blocks while the library is loaded, 20 s at most. One that crashes or hangs on loading is reported as
    refused too. For programs with one thread: it forks.
    """
    found = _elsewhere(functools.partial(probe, override_version=override_version), path, source)
    return Vendor(path, source, error=found) if isinstance(found, str) else found


def describe_trader(path: str, source: str) -> TraderVendor:
    """`describe`, for a trader library."""
    found = _elsewhere(probe_trader, path, source)
    return TraderVendor(path, source, error=found) if isinstance(found, str) else found


_V = TypeVar("_V", Vendor, TraderVendor)


def _elsewhere(probing: Callable[[str, str], _V], path: str, source: str) -> _V | str:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_describe, args=(probing, path, source, theirs))
    process.start()
    theirs.close()
    try:
        if not ours.poll(_PROBE_LIMIT_S):
            return f"it has not been loaded within {_PROBE_LIMIT_S:g} s"
        found: _V | str = ours.recv()
        return found
    except EOFError:
        process.join()
        return f"loading it ended the process (exit status {process.exitcode})"
    finally:
        process.kill()
        process.join()
        ours.close()


def _describe(probing: Callable[[str, str], _V], path: str, source: str, answer: Connection) -> None:
    try:
        answer.send(probing(path, source))
    except TickEngineError as error:
        answer.send(str(error))
    answer.close()
    os._exit(0)  # past the static destructors of what was loaded
