"""A trader library is recognised by facts that agree, or refused with the reason: never by a guess."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from test_td_tables import ATLAS, BEFORE, VERSIONS

from tickengine import VendorLibraryError, vendor

STUB = Path(__file__).parent / "td_stub_library.c"
Probe = Callable[..., vendor.TraderVendor]


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """Probes a library with the given exports. (Such a library stays loaded; there is nothing in it.)"""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build the stubs with")
    folder = tmp_path_factory.mktemp("stubs")

    def run(text: str | None, slots: int, flags: int, override: str = "", **more: int) -> vendor.TraderVendor:
        options = {"SLOTS": slots, "FLAGS": flags, "HAS_VERSION": int(text is not None), **more}
        path = folder / ("lib" + "-".join(f"{k}{v}" for k, v in options.items()) + ".so")
        if not path.exists():
            defines = [f"-D{k}={v}" for k, v in options.items()]
            subprocess.run([compiler, "-shared", "-fPIC", *defines, str(STUB), "-o", str(path)], check=True)
        os.environ["TK_STUB_VERSION"] = text or ""
        try:
            return vendor.probe_trader(str(path), override_version=override)
        finally:
            del os.environ["TK_STUB_VERSION"]

    return run


def facts(version: str) -> tuple[int, int]:
    fact = ATLAS["versions"][version]
    return ATLAS["api"][fact["api"]]["slots"], fact["factory_flags"]


@pytest.mark.parametrize(
    ("version", "text"),
    # All but the oldest, which tells no version: it needs an override, below.
    [(v, t) for v in VERSIONS[1:] for t in ATLAS["versions"][v]["texts"] or [f"v{v}_20250101"]],
)
def test_every_version_text_that_was_ever_seen(probe: Probe, version: str, text: str) -> None:
    found, fact = probe(text, *facts(version)), ATLAS["versions"][version]
    assert (found.version, found.tables_of, found.evaluation) == (text.strip(), version, "_CP" in text)
    assert (found.api_slots, found.spi_slots) == (facts(version)[0], ATLAS["spi"][fact["spi"]]["slots"])


@pytest.mark.parametrize("version", VERSIONS[1:])
@pytest.mark.parametrize("off", [-1, 1])
@pytest.mark.parametrize("override", [False, True])
def test_slots_that_do_not_fit_the_version_are_refused_also_when_overridden(
    probe: Probe, version: str, off: int, override: bool
) -> None:
    right, flags = facts(version)
    with pytest.raises(VendorLibraryError, match="should have|national-crypto"):
        probe(f"v{version}_20250101", right + off, flags, version if override else "")


@pytest.mark.parametrize(("version", "flags"), [("6.7.10", 1), ("6.3.6", 1), ("6.7.11", 0), ("6.7.13", 0)])
@pytest.mark.parametrize("override", [False, True])
def test_a_factory_that_does_not_fit_the_version_is_refused(
    probe: Probe, version: str, flags: int, override: bool
) -> None:
    with pytest.raises(VendorLibraryError, match=f"factory with {1 - flags} flags, this library's has {flags}"):
        probe(f"v{version}", facts(version)[0], flags, version if override else "")


@pytest.mark.parametrize(
    ("text", "slots", "reason"),
    [
        ("V1.7.5", 66, "mini product"),
        ("V1.6.9", 62, "mini product"),
        ("v6.7.2_20230913", 66, "mini product"),
        ("V1.7.5", 123, "mini product"),
        ("v3.7.3_20240910 15:16:27", 99, "option product"),
        ("v6.6.2_P11_SM_20220101", 100, "national-crypto"),
        ("v6.6.7_20220613", 100, "national-crypto"),
        ("v6.7.13_SM_20260225", 142, "national-crypto"),
        ("v6.7.13_20260225", 142, "national-crypto"),
        ("v6.7.2_20230913", 0, "does not export the trader api's vtable"),
        ("v6.2.0_20120101", 75, "6.2.0_20120101' of the trader library is not known .known: 6.3.5 to 6.7.13"),
        ("v6.7.14_20270101", 140, "is not known"),
        ("v6.3.15_P2_20190328", 94, "is not known"),  # no guess, though its neighbours have the same slots
        ("v6.7.12", 133, "is not known"),
        ("", 79, "does not tell its version"),
        ("no version at all", 79, "not understood"),
        (None, 75, "does not tell its version"),
    ],
)
def test_what_is_refused_says_why(probe: Probe, text: str | None, slots: int, reason: str) -> None:
    with pytest.raises(VendorLibraryError, match=reason):
        probe(text, slots, 0)


@pytest.mark.parametrize(
    ("exports", "reason"),
    [
        ({"SOPT": 1}, "option product"),
        ({"MD": 1}, "CTP's market-data library"),
        ({}, "no CTP trader library"),
    ],
)
def test_a_library_without_the_factory_is_refused_by_what_it_exports_instead(
    probe: Probe, exports: dict[str, int], reason: str
) -> None:
    with pytest.raises(VendorLibraryError, match=reason):
        probe(None, 0, -1, **exports)


@pytest.mark.parametrize(
    ("text", "version"),
    [(None, "pre-6.3.6"), ("v6.3.15_P2_20190328 14:06:16", "6.3.19_P1"), ("a text of somebody's own", "6.7.2")],
)
def test_an_override_is_believed(probe: Probe, text: str | None, version: str) -> None:
    name = BEFORE.get(version, version)
    found = probe(text, *facts(version), name)
    assert (found.tables_of, found.version) == (name, text or "")


@pytest.mark.parametrize("override", ["6.7.14", "7", "6.3.15_P2", "6.7.13_SM", "1.7.5", "3.7.3", "newest"])
def test_an_override_must_name_a_known_version(probe: Probe, override: str) -> None:
    with pytest.raises(VendorLibraryError):
        probe("v6.7.13_20260225", 140, 1, override)


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "libthosttraderapi_se.so").write_text("not found")
    with pytest.raises(VendorLibraryError, match="cannot be loaded"):
        vendor.probe_trader(str(tmp_path / "libthosttraderapi_se.so"))
