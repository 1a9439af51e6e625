"""A library is recognised by facts that agree, or refused with the reason: never by a guess."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from test_tables import ATLAS, VERSIONS, row_of

from tickengine import VendorLibraryError, vendor

STUB = Path(__file__).parent / "stub_library.c"
Probe = Callable[..., vendor.Vendor]


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """Probes a library with the given exports. (Such a library stays loaded; there is nothing in it.)"""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build the stubs with")
    folder = tmp_path_factory.mktemp("stubs")

    def run(text: str | None, slots: int, flags: int, override: str = "", **more: int) -> vendor.Vendor:
        options = {"SLOTS": slots, "FLAGS": flags, "HAS_VERSION": int(text is not None), **more}
        path = folder / ("lib" + "-".join(f"{k}{v}" for k, v in options.items()) + ".so")
        if not path.exists():
            defines = [f"-D{k}={v}" for k, v in options.items()]
            subprocess.run([compiler, "-shared", "-fPIC", *defines, str(STUB), "-o", str(path)], check=True)
        os.environ["TK_STUB_VERSION"] = text or ""
        try:
            return vendor.probe(str(path), override_version=override)
        finally:
            del os.environ["TK_STUB_VERSION"]

    return run


def facts(version: str) -> tuple[int, int]:
    fact = ATLAS["versions"][version]
    return len(ATLAS["api"][fact["generation"]]), fact["factory_flags"]


@pytest.mark.parametrize(
    ("version", "text"),
    # All but the oldest, which tells no version: it needs an override, below.
    [(v, t) for v in VERSIONS[1:] for t in ATLAS["versions"][v]["texts"] or [f"v{v}_20250101"]],
)
def test_every_version_text_that_was_ever_seen(probe: Probe, version: str, text: str) -> None:
    found, row = probe(text, *facts(version)), row_of(version)
    assert (found.version, found.generation, found.layout) == (text.strip(), row["generation"], row["layout"])
    assert found.layouts_of == row["first"]
    assert found.evaluation == ("_CP" in text)


@pytest.mark.parametrize("slots", [0, 2, 12, 13, 14, 15, 16, 17, 140])
@pytest.mark.parametrize("version", ["6.3.6", "6.3.15_P2", "6.7.2", "6.7.13"])
@pytest.mark.parametrize("override", ["", "same"])
def test_slots_that_do_not_fit_the_version_are_refused_also_when_overridden(
    probe: Probe, version: str, slots: int, override: str
) -> None:
    right, flags = facts(version)
    arguments = (f"v{version}_20250101", slots, flags, version if override else "")
    if slots == right:
        assert probe(*arguments).api_slots == slots
    else:
        with pytest.raises(VendorLibraryError, match="mini" if slots in (12, 13) else "slots|vtable"):
            probe(*arguments)


@pytest.mark.parametrize(("version", "flags"), [("6.7.10", 3), ("6.3.6", 3), ("6.7.11", 2), ("6.7.13", 2)])
@pytest.mark.parametrize("override", [False, True])
def test_a_factory_that_does_not_fit_the_version_is_refused(
    probe: Probe, version: str, flags: int, override: bool
) -> None:
    with pytest.raises(VendorLibraryError, match=f"factory with {5 - flags} flags, this library's has {flags}"):
        probe(f"v{version}", facts(version)[0], flags, version if override else "")


@pytest.mark.parametrize(
    ("text", "slots", "reason"),
    [
        ("V1.7.5", 13, "mini product"),
        ("V1.6.9", 12, "mini product"),
        ("v6.7.2_20230913", 13, "mini product"),
        ("V1.7.5", 15, "mini product"),
        ("v3.7.3_20240910 15:16:27", 14, "option product"),
        ("v6.6.2_P11_SM_20220101", 15, "national-crypto"),
        ("v6.7.13_SM_20260225", 16, "national-crypto"),
        ("v6.7.13_20260225", 16, "national-crypto"),
        ("v6.2.0_20120101", 14, "older than any known"),
        ("v6.7.14_20270101", 15, "newer than the newest known one .6.7.13."),
        ("v7.0.0", 15, "newer than"),
        ("v6.3.15_P1_20190301", 15, "between 6.3.15 and 6.3.15_P2"),
        ("v6.3.19_P3_20200501", 15, "between 6.3.19_P1 and 6.5.1"),
        ("v6.7.10_P1_20250501", 15, "between 6.7.10 and 6.7.11"),
        ("", 15, "does not tell its version"),
        ("no version at all", 15, "not understood"),
        ("6", 15, "not understood"),
        ("6.7", 15, "not understood"),
        ("6.7.", 15, "not understood"),
        ("v999999999999.1.1", 15, "not understood"),
        (None, 14, "does not tell its version"),
    ],
)
def test_what_is_refused_says_why(probe: Probe, text: str | None, slots: int, reason: str) -> None:
    with pytest.raises(VendorLibraryError, match=reason):
        probe(text, slots, 2)


@pytest.mark.parametrize(
    ("exports", "reason"),
    [
        ({"SOPT": 1}, "option product"),
        ({"TRADER": 1}, "trader library"),
        ({}, "no CTP market-data library"),
    ],
)
def test_a_library_without_the_factory_is_refused_by_what_it_exports_instead(
    probe: Probe, exports: dict[str, int], reason: str
) -> None:
    with pytest.raises(VendorLibraryError, match=reason):
        probe(None, 0, 0, **exports)


@pytest.mark.parametrize(
    ("text", "slots", "flags", "layouts_of"),
    [
        ("v6.3.7", 14, 2, "6.3.6"),  # both neighbours agree
        ("v6.7.5_20240101", 15, 2, "6.6.9"),
        ("v6.7.9_P2", 15, 2, "6.7.8"),
        ("v6.6.5_20210924", 15, 2, "6.6.1_P1"),  # RspUserLogin has grown by 6.6.7, at its end
        ("v6.7.12", 15, 3, "6.7.11"),
    ],
)
def test_a_version_between_two_is_read_as_the_older_where_nothing_has_moved(
    probe: Probe, text: str, slots: int, flags: int, layouts_of: str
) -> None:
    assert probe(text, slots, flags).layouts_of == layouts_of


@pytest.mark.parametrize(
    ("text", "slots", "flags", "override", "layouts_of"),
    [
        ("v6.7.14_20270101", 15, 3, "6.7.13", "6.7.13"),
        (None, 14, 2, "6.3.5", "6.3.5"),
        ("a text of somebody's own", 15, 2, "6.7.2", "6.6.9"),
        ("v6.3.19_P3_20200501", 15, 2, "v6.3.19_P1", "6.3.15_P2"),
    ],
)
def test_an_override_is_believed(
    probe: Probe, text: str | None, slots: int, flags: int, override: str, layouts_of: str
) -> None:
    found = probe(text, slots, flags, override)
    assert (found.layouts_of, found.version) == (layouts_of, text or "")


@pytest.mark.parametrize("override", ["6.7.14", "7", "6.3.19_P3", "6.7.12", "6.7.13_SM", "1.7.5", "3.7.3", "newest"])
def test_an_override_must_name_a_known_version(probe: Probe, override: str) -> None:
    with pytest.raises(VendorLibraryError):
        probe("v6.7.13_20260225", 15, 3, override)


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "libthostmduserapi_se.so").write_text("not found")
    with pytest.raises(VendorLibraryError, match="cannot be loaded"):
        vendor.probe(str(tmp_path / "libthostmduserapi_se.so"))
