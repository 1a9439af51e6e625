from __future__ import annotations

from collections.abc import Iterator

import pytest
from writing import Feed


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed(capacity=64)
    yield feed
    feed.close()
