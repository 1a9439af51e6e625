"""Libraries for the tests: genuine ones from the package index, our own compiled in its variants.

Both are kept in a folder that parallel and later runs share: ``TICKENGINE_TEST_CACHE``, or
``~/.cache/tickengine-tests``. Files come into it by renaming, so whoever sees one sees it whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tickengine import vendor

HERE = Path(__file__).parent
COMPATIBLE_SOURCES = HERE.parents[1] / "shim" / "compat"
FILES = re.compile(r"(^|/)lib(sopt)?thost(mduser|trader)api(_se)?(-[0-9a-f]{8})?\.so$")
DOWNLOAD_LIMIT_S = 150
WHEELS = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", "3.11"]
for _tag in ("manylinux_2_28", "manylinux_2_24", "manylinux2014", "manylinux1"):
    WHEELS += ["--platform", f"{_tag}_x86_64"]
SOURCES = ["--no-binary", ":all:", "--use-pep517", "--no-build-isolation"]


class Unavailable(Exception):
    """A library that cannot be had on this machine, and why."""


@dataclass(frozen=True)
class Known:
    """A library of a package on the index: the one for market data, or the one for trading."""

    package: str
    """``name==version``."""
    kind: str
    """``wheel`` or ``sdist``."""
    sha256: str
    """The first 8 digits, of the library file."""
    text: str
    """GetApiVersion()."""
    version: str
    """In the atlas, or in that of the trader libraries."""
    speaks: str
    """``plain`` (what the loopback front speaks), ``encrypted`` or ``other``."""
    evaluation: bool = False

    @property
    def name(self) -> str:
        return self.package.replace("==", "-")


def known_libraries(file: str = "libraries.json") -> list[Known]:
    return [Known(**entry) for entry in json.loads((HERE / file).read_text())]


def cache() -> Path:
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tickengine-tests"
    folder = Path(os.environ.get("TICKENGINE_TEST_CACHE") or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time makes the thing called *name*; the others then find it."""
    with open(cache() / f"{name}.lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


# ---- genuine ones ------------------------------------------------------------------------------

_failures: list[str] = []


def genuine_library(known: Known) -> Path:
    """The library's file: of the installed package if it is this one, or downloaded if it is not in the cache.

    Raises:
        Unavailable: it could not be downloaded.
        AssertionError: what is in the package is another file than is known.
    """
    for kind in (vendor.MARKET_DATA, vendor.TRADER):
        for installed in vendor.package_libraries(known.package.partition("==")[0], kind):
            if _digest(Path(installed)) == known.sha256:
                return Path(installed)
    folder = cache() / known.name
    with locked(known.name):
        for path in folder.glob("*.so"):
            if _digest(path) == known.sha256:
                return path
        if len(_failures) >= 2:
            raise Unavailable(f"not downloaded: no connection to the index ({_failures[0]})")
        with tempfile.TemporaryDirectory(dir=cache()) as work:
            archive = _download(known, Path(work))
            members = _members(archive)
            digests = {hashlib.sha256(content).hexdigest()[:8]: name for name, content in members.items()}
            assert known.sha256 in digests, f"{known.package} has another {' and '.join(members)}"
            folder.mkdir(exist_ok=True)
            for name, content in members.items():  # one download for both kinds
                new = Path(work) / name
                new.write_bytes(content)
                new.replace(folder / name)
            return folder / digests[known.sha256]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def _download(known: Known, work: Path) -> Path:
    environment = dict(os.environ)
    if known.kind == "sdist":
        backend = work / "backend"
        (backend / "setuptools").mkdir(parents=True)
        (backend / "setuptools" / "__init__.py").touch()
        for name in ("setuptools/build_meta.py", "mesonpy.py"):
            shutil.copyfile(HERE / "no_build_backend.py", backend / name)
        environment["PYTHONPATH"] = str(backend)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "1", "--timeout", "15"]
    command += ["--disable-pip-version-check", *(SOURCES if known.kind == "sdist" else WHEELS)]
    command += ["--dest", str(work), known.package]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_LIMIT_S, env=environment)
    except subprocess.TimeoutExpired:
        _failures.append(f"pip took more than {DOWNLOAD_LIMIT_S} s")
        raise Unavailable(f"not downloaded: {_failures[-1]}") from None
    archives = [p for p in work.iterdir() if p.name.endswith((".whl", ".tar.gz"))]
    if done.returncode != 0 or len(archives) != 1:
        errors = [line for line in done.stderr.splitlines() if "ERROR" in line or "No module named" in line]
        _failures.append((errors or ["pip failed without a word"])[-1].strip()[:200])
        raise Unavailable(f"not downloaded: {_failures[-1]}")
    return archives[0]


def _members(archive: Path) -> dict[str, bytes]:
    """The libraries in a wheel or source archive: file names and contents. Damage raises."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            assert wheel.testzip() is None, f"{archive.name} is damaged"
            found = {Path(n).name: wheel.read(n) for n in wheel.namelist() if FILES.search(n)}
    else:
        found = {}
        with tarfile.open(archive) as source:
            for member in source.getmembers():
                if FILES.search(member.name) and (file := source.extractfile(member)) is not None:
                    found.setdefault(Path(member.name).name, file.read())
    assert found, f"{archive.name} has no library of the vendor's"
    return found


# ---- our own -----------------------------------------------------------------------------------

COMPATIBLE_VARIANTS = {"636": "6.3.6", "63152": "6.3.15_P2", "651": "6.5.1", "6711": "6.7.11"}


def compatible_library(variant: str) -> Path:
    """The compatible library with the layouts of *variant*, compiled if these sources have not been yet.

    Raises:
        Unavailable: there is no compiler.
        AssertionError: it does not compile.
    """
    sources = sorted(COMPATIBLE_SOURCES.glob("*.cpp"))
    name = f"libcompatible-{variant}-{_state(COMPATIBLE_SOURCES.glob('*.?pp'))}.so"
    exports = f"-Wl,--version-script={COMPATIBLE_SOURCES}/exports.map"
    return _made(name, ["-shared", f"-DTK_COMPAT={variant}", *sources, exports])


COMPATIBLE_TRADERS = {
    "635": "pre-6.3.6", "636": "6.3.6", "6311": "6.3.11", "6313": "6.3.13", "6315": "6.3.15", "63191": "6.3.19_P1",
    "651": "6.5.1", "6611": "6.6.1_P1", "667": "6.6.7", "669": "6.6.9", "670": "6.7.0", "671": "6.7.1",
    "672": "6.7.2", "677": "6.7.7", "678": "6.7.8", "679": "6.7.9", "6791": "6.7.9_P1", "6710": "6.7.10",
    "6711": "6.7.11", "6713": "6.7.13",
}  # fmt: skip
"""TK_COMPAT and the version in the atlas."""


def compatible_trader_library(variant: str) -> Path:
    """The compatible trader library as *variant*; only one of its sources depends on that.

    Raises:
        Unavailable, AssertionError: as `compatible_library`.
    """
    folder = COMPATIBLE_SOURCES / "trader"
    shared = [COMPATIBLE_SOURCES / f"{name}.cpp" for name in ("address", "connection", "faults", "ftd", "life")]
    sources = [*sorted(p for p in folder.glob("*.cpp") if p.name != "version.cpp"), *shared]
    state = _state([*COMPATIBLE_SOURCES.glob("*.?pp"), *folder.glob("*.?pp"), *folder.glob("*.inc")])
    same = _made(f"compatible-trader-{state}.o", ["-r", "-nostdlib", *sources])
    link = [
        "-shared",
        f"-DTK_COMPAT={variant}",
        folder / "version.cpp",
        same,
        f"-Wl,--version-script={folder}/exports.map",
    ]
    return _made(f"libcompatible-trader-{variant}-{state}.so", link)


def _state(sources: Iterable[Path]) -> str:
    state = hashlib.sha256()
    for path in sorted(sources):
        state.update(path.name.encode() + path.read_bytes())
    return state.hexdigest()[:16]


def _made(name: str, what: list[Any]) -> Path:
    """The file of that name in the cache, compiled with *what* if it is not there."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise Unavailable("no C++ compiler (g++) to build the compatible library with")
    file = cache() / "compatible" / name
    with locked(name):
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            new = file.with_suffix(".new")
            command: list[Any] = [compiler, "-std=c++17", "-O2", "-fPIC", "-fvisibility=hidden", "-pthread"]
            command += ["-Wall", "-Wextra", "-Werror", "-I", COMPATIBLE_SOURCES, *what, "-o", new]
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
            new.replace(file)
    return file
