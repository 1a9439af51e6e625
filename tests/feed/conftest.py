from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

BASE = """\
front = "loopback"
[instruments]
ids = ["rb2705", "IF2705"]
[engine]
library = "compatible"
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes a configuration; returns its path."""

    def write(text: str = BASE, name: str = "feed.toml") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("pass-word-1\n")
    path.chmod(0o600)
    return path
