from __future__ import annotations

from collections.abc import Callable

import pytest
import vendor_files
from vendor_files import Known, Unavailable


def _or_skip(get: Callable[[], object]) -> str:
    try:
        return str(get())
    except Unavailable as why:
        pytest.skip(str(why))


@pytest.fixture(scope="session")
def compatible() -> Callable[[str], str]:
    """Path of the compatible library with the layouts of a variant ("636", "63152", "651", "6711")."""
    return lambda variant: _or_skip(lambda: vendor_files.compatible_library(variant))


@pytest.fixture(scope="session")
def fetched() -> Callable[[Known], str]:
    """Path of a genuine library from the package index."""
    return lambda known: _or_skip(lambda: vendor_files.genuine_library(known))
