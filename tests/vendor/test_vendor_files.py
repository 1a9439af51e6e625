"""A library that cannot be had is a skip with its reason; what is damaged or another file is never taken for it."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
import vendor_files
from vendor_files import Known, Unavailable

CONTENT = b"what a library would be"
SHA = hashlib.sha256(CONTENT).hexdigest()[:8]


@pytest.fixture
def no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a folder of archives as the only index."""
    archives = tmp_path / "archives"
    archives.mkdir()
    monkeypatch.setenv("TICKENGINE_TEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archives))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setattr(vendor_files, "_failures", [])
    return archives


def known(sha256: str = SHA) -> Known:
    return Known("made-up==1.0", "wheel", sha256, "", "", "plain")


def wheel(folder: Path, member: str = "made_up/libthostmduserapi_se.so") -> None:
    with zipfile.ZipFile(folder / "made_up-1.0-py3-none-any.whl", "w") as z:
        z.writestr("made_up-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n")
        z.writestr("made_up-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr("made_up-1.0.dist-info/RECORD", "")
        z.writestr(member, CONTENT)


def test_no_index_is_unavailable_with_the_reason(no_index: Path) -> None:
    with pytest.raises(Unavailable, match="not downloaded: .*made-up"):
        vendor_files.genuine_library(known())


def test_the_library_comes_into_the_cache_and_stays(no_index: Path) -> None:
    wheel(no_index)
    path = vendor_files.genuine_library(known())
    assert (path.name, path.read_bytes()) == ("libthostmduserapi_se.so", CONTENT)
    next(no_index.iterdir()).unlink()
    assert vendor_files.genuine_library(known()) == path
    assert [p.name for p in vendor_files.cache().iterdir() if p.is_dir()] == ["made-up-1.0"]


def test_a_damaged_file_in_the_cache_is_not_taken(no_index: Path) -> None:
    wheel(no_index)
    path = vendor_files.genuine_library(known())
    path.write_bytes(CONTENT[:-1])
    assert vendor_files.genuine_library(known()).read_bytes() == CONTENT


def test_another_file_under_the_same_name_fails(no_index: Path) -> None:
    wheel(no_index)
    with pytest.raises(AssertionError, match="has another libthostmduserapi_se.so"):
        vendor_files.genuine_library(known("0" * 8))


def test_a_package_without_a_library_fails(no_index: Path) -> None:
    wheel(no_index, "made_up/_thostmduserapi.so")
    with pytest.raises(AssertionError, match="no library of the vendor's"):
        vendor_files.genuine_library(known())
