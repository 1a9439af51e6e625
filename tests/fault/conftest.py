"""The genuine library's limit of silence is two minutes. They pass beside all other tests of the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tickengine import vendor

PROGRAM = Path(__file__).parent / "silent_front.py"
FIXTURE = "two_minutes_of_silence"

_programs: list[subprocess.Popen[str]] = []


def _waits(item: pytest.Item) -> bool:
    return FIXTURE in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever wants the end of the silence comes last."""
    items.sort(key=_waits)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """The silence begins before the first test, so that whoever looks for leftovers has seen its processes before."""
    libraries = vendor.package_libraries(vendor.PLAIN_FTD_PACKAGE)
    if session.config.option.collectonly or not libraries or not any(map(_waits, session.items)):
        return
    program = subprocess.Popen(
        [sys.executable, PROGRAM, libraries[0]],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROGRAM.parents[1]), *sys.path])},
    )
    _programs.append(program)
    assert program.stdout is not None
    program.stdout.readline()  # an empty one when it has failed: the test says so


def pytest_sessionfinish() -> None:
    """Also when the run ends before its last test."""
    for program in _programs:
        program.terminate()
        program.communicate(timeout=30)


@pytest.fixture
def two_minutes_of_silence(genuine: str) -> subprocess.Popen[str]:
    """The program that has been waiting since the run began."""
    (program,) = _programs
    return program
