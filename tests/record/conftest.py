from __future__ import annotations

from collections.abc import Iterator

import pytest
from writing import Feed


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed()
    yield feed
    feed.close()


@pytest.fixture
def small() -> Iterator[Feed]:
    """A log of 64 records: soon overtaken."""
    feed = Feed(64)
    yield feed
    feed.close()
