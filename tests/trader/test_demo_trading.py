"""``tickengine demo --trading``: as a user runs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(120)]


def test_the_demonstration_ends_with_both_books_equal(genuine_trader: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tickengine", "demo", "--trading"], capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "front disconnected, unknown" in done.stdout, "the fate of the first order was not in doubt"
    assert "each once; orders sent twice: 0" in done.stdout
    assert "Traceback" not in done.stderr
