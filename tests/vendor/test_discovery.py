"""Which library is found, by which way, and in which order. The packages are made up: a dist-info folder with a
list of files, and files that are no libraries at all, since finding opens none."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tickengine import ConfigError, VendorLibraryError, vendor
from tickengine.cli import main

# As the packages have it: (package, version, its folder with the library, the library's name).
SHIPPED = [
    ("openctp-ctp", "6.7.11.0", "openctp_ctp.libs", "libthostmduserapi_se-9c6d321f.so"),
    ("ctp-python", "6.7.13", "ctp", "libthostmduserapi_se.so"),
    ("CtpPlus", "6.7.13", "CtpPlus/CTP", "libthostmduserapi_se.so"),
    ("vnpy_ctp", "6.7.11.4", "vnpy_ctp/api", "libthostmduserapi_se.so"),
    ("ctpwrapper", "6.7.13", "ctpwrapper", "libthostmduserapi_se.so"),
    ("AlgoPlus", "3.1", "AlgoPlus/CTP", "libthostmduserapi_se.so"),
    ("python-ctp-deps", "6.3.6.post20170531", "ctp_deps/lib", "libthostmduserapi.so"),
    ("openctp-ctp-cp", "6.7.7.0", "openctp_ctp_cp.libs", "libthostmduserapi_se-fb094b83.so"),
    ("openctp-tts", "6.7.2.3", "openctp_tts.libs", "libthostmduserapi_se-a7f4993e.so"),
]
Install = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site-packages folder that is the only one to be looked into, and no other way to find a library."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])
    monkeypatch.setattr(vendor.sysconfig, "get_path", lambda _name: str(tmp_path / "prefix"))
    monkeypatch.delenv(vendor.ENVIRONMENT, raising=False)
    monkeypatch.delenv(vendor.TRADER_ENVIRONMENT, raising=False)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(vendor, "_LOADER_CONFIGURATION", str(tmp_path / "ld.so.conf"))
    monkeypatch.setattr(vendor, "_LOADER_DEFAULTS", ())
    importlib.invalidate_caches()
    return folder


@pytest.fixture
def install(site: Path) -> Install:
    def run(package: str, version: str, *files: str, record: bool = True) -> Path:
        info = site / f"{package.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        for file in files:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).write_text("no library")
        if record:
            (info / "RECORD").write_text("".join(f"{f},,\n" for f in [*files, f"{info.name}/METADATA"]))
        importlib.invalidate_caches()
        return site / files[0]

    return run


@pytest.mark.parametrize("record", [True, False], ids=["with RECORD", "without RECORD"])
@pytest.mark.parametrize(("package", "version", "folder", "name"), SHIPPED, ids=[p[0] for p in SHIPPED])
def test_the_library_of_every_package_is_found(
    install: Install, package: str, version: str, folder: str, name: str, record: bool
) -> None:
    library = install(package, version, f"{folder}/{name}", record=record)
    assert vendor.candidates() == [(str(library), f"package {package}")]
    assert vendor.resolve(None) == (str(library), f"package {package}")
    assert vendor.resolve(package) == (str(library), f"package {package}")


@pytest.mark.parametrize("record", [True, False], ids=["with RECORD", "without RECORD"])
@pytest.mark.parametrize(("package", "version", "folder", "name"), SHIPPED, ids=[p[0] for p in SHIPPED])
def test_the_trader_library_of_every_package_is_found_beside_the_other(
    install: Install, package: str, version: str, folder: str, name: str, record: bool
) -> None:
    trader = name.replace("mduser", "trader")
    library = install(package, version, f"{folder}/{trader}", f"{folder}/{name}", record=record)
    assert vendor.candidates(vendor.TRADER) == [(str(library), f"package {package}")]
    assert vendor.resolve(None, vendor.TRADER) == (str(library), f"package {package}")
    assert vendor.resolve(package, vendor.TRADER) == (str(library), f"package {package}")
    assert vendor.resolve(package) == (str(library.with_name(name)), f"package {package}")


def test_the_trader_library_has_an_environment_variable_of_its_own(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.so"
    mine.write_text("no library")
    installed = install("ctp-python", "6.7.13", "ctp/libthosttraderapi_se.so")
    monkeypatch.setenv(vendor.TRADER_ENVIRONMENT, str(mine))
    assert vendor.candidates(vendor.TRADER) == [
        (str(mine), "environment variable TICKENGINE_TDAPI"),
        (str(installed), "package ctp-python"),
    ]
    assert vendor.candidates() == []
    assert vendor.resolve(str(installed), vendor.TRADER) == (str(installed), "path")


def test_no_trader_library_says_what_to_do(install: Install) -> None:
    install("ctp-python", "6.7.13", "ctp/libthostmduserapi_se.so")
    with pytest.raises(VendorLibraryError, match="found for trading: install one.*TICKENGINE_TDAPI"):
        vendor.resolve(None, vendor.TRADER)
    with pytest.raises(ConfigError, match="carries no library for trading"):
        vendor.resolve("ctp-python", vendor.TRADER)


def test_all_known_packages_are_tried_and_nothing_is_imported(install: Install, site: Path) -> None:
    for package, version, folder, name in reversed(SHIPPED):
        install(package, version, f"{folder}/{name}")
        (site / folder.split("/")[0]).mkdir(exist_ok=True)
        (site / folder.split("/")[0] / "__init__.py").write_text("raise AssertionError('imported')")
    assert [source for _, source in vendor.candidates()] == [f"package {p}" for p, *_ in SHIPPED]
    assert [p for p, *_ in SHIPPED] == list(vendor.PACKAGES)


@pytest.mark.parametrize(
    "name",
    [
        "openctp_ctp/_thostmduserapi.so",
        "openctp_ctp/thostmduserapi.py",
        "openctp_ctp/_thostmduserapi.cpython-311-x86_64-linux-gnu.so",
        "openctp_ctpopt.libs/libsoptthostmduserapi_se-9ca6af46.so",
        "openctp_ctp.libs/libthosttraderapi_se-ad4da959.so",
        "openctp_ctp.libs/libthostmduserapi_se.so.old",
        "openctp_ctp.libs/libthostmduserapi_se-12345.so",
        "openctp_ctp.libs/libthostmduserapi_sm.so",
        "openctp_ctp.libs/mylibthostmduserapi_se.so",
    ],
)
@pytest.mark.parametrize("record", [True, False], ids=["with RECORD", "without RECORD"])
def test_other_files_do_not_match(install: Install, name: str, record: bool) -> None:
    install("openctp-ctp", "6.7.11.0", name, record=record)
    assert vendor.candidates() == []


def test_a_file_that_the_list_names_but_is_not_there_is_not_found(install: Install) -> None:
    install("ctp-python", "6.7.13", "ctp/libthostmduserapi_se.so").unlink()
    assert vendor.candidates() == []


def test_a_package_may_be_named_by_any_spelling_or_by_its_import_name(install: Install) -> None:
    library = str(install("ctp-python", "6.7.13", "ctp/libthostmduserapi_se.so"))
    for name in ("ctp-python", "CTP_Python", "ctp"):
        assert vendor.resolve(name)[0] == library


def test_an_unknown_package_with_a_library_can_be_named_and_is_not_taken_unasked(install: Install) -> None:
    library = install("houses-own-ctp", "1.0", "own/libthostmduserapi_se.so")
    assert vendor.candidates() == []
    assert vendor.resolve("houses-own-ctp") == (str(library), "package houses-own-ctp")


@pytest.mark.parametrize("name", ["nobody-has-this", "../x", "a b"])
def test_a_package_that_is_not_there_is_refused_with_the_known_names(site: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="openctp-ctp, ctp-python") if "/" not in name else pytest.raises(ConfigError):
        vendor.resolve(name)


def test_the_environment_comes_before_packages_and_packages_before_the_loader(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_package = install("AlgoPlus", "3.1", "AlgoPlus/CTP/libthostmduserapi_se.so")
    places = {name: tmp_path / name / "libthostmduserapi_se.so" for name in ("mine", "ld", "configured", "default")}
    for place in places.values():
        place.parent.mkdir()
        place.write_text("no library")
    monkeypatch.setenv(vendor.ENVIRONMENT, str(places["mine"]))
    monkeypatch.setenv("LD_LIBRARY_PATH", f":{tmp_path}/none:{places['ld'].parent}:")
    (tmp_path / "ld.so.conf").write_text(f"# comment\ninclude {tmp_path}/conf.d/*.conf\n")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.conf").write_text(f"{places['configured'].parent}  # where it is\nhwcap 1 x\n")
    monkeypatch.setattr(vendor, "_LOADER_DEFAULTS", (str(places["default"].parent),))
    assert [(Path(path), source) for path, source in vendor.candidates()] == [
        (places["mine"], "environment variable TICKENGINE_MDAPI"),
        (by_package, "package AlgoPlus"),
        (places["ld"], "LD_LIBRARY_PATH"),
        (places["configured"], f"loader path ({tmp_path}/ld.so.conf)"),
        (places["default"], "loader path"),
    ]


def test_a_path_is_taken_as_it_is_or_refused(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "any-name.so"
    library.write_text("no library")
    assert vendor.resolve(str(library)) == (str(library), "path")
    for missing in (str(tmp_path / "none.so"), "none.so", "/nowhere/none"):
        with pytest.raises(ConfigError, match="does not exist"):
            vendor.resolve(missing)
    monkeypatch.setenv(vendor.ENVIRONMENT, str(tmp_path / "none.so"))
    with pytest.raises(ConfigError, match="TICKENGINE_MDAPI.*does not exist"):
        vendor.resolve(None)


def test_nothing_found_says_what_to_do(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(VendorLibraryError, match="TICKENGINE_MDAPI"):
        vendor.resolve(None)
    assert main(["vendor"]) == 1
    assert "no vendor library was found" in capsys.readouterr().err


def test_the_command_lists_what_is_found_what_is_refused_and_what_would_be_used(
    install: Install, genuine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = install("AlgoPlus", "3.1", "AlgoPlus/CTP/libthostmduserapi_se.so")
    monkeypatch.setenv(vendor.ENVIRONMENT, genuine)
    assert main(["vendor"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"market data:\n* {genuine}\n    found by: environment variable TICKENGINE_MDAPI\n")
    assert "version v6.3.6_20160606 10:26:14, generation G1, layout L1 (structs as of 6.3.6, 14 api slots)" in text
    assert f"  {bad}\n    found by: package AlgoPlus\n    refused: " in text and "cannot be loaded" in text
    assert "* would be used (the first in the order TICKENGINE_MDAPI, packages, loader path)" in text


def test_the_command_lists_trader_libraries_too(
    site: Path, genuine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trader = genuine.replace("mduser", "trader")
    monkeypatch.setenv(vendor.TRADER_ENVIRONMENT, trader)
    for arguments in ([], ["--library", trader]):
        assert main(["vendor", *arguments]) == 0
        text = capsys.readouterr().out
        assert text.startswith(f"trading:\n* {trader}\n")
        assert "version v6.3.6_20160606 10:26:14, tables of 6.3.6 (79 api slots, 112 callbacks)" in text
        assert "market data" not in text


def test_the_command_fails_when_what_would_be_taken_is_refused(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("AlgoPlus", "3.1", "AlgoPlus/CTP/libthostmduserapi_se.so")
    assert main(["vendor"]) == 1
    assert "* would be taken" in (text := capsys.readouterr().out) and "is refused" in text


def test_a_library_that_ends_the_process_on_loading_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil
    import subprocess

    if (compiler := shutil.which("gcc") or shutil.which("cc")) is None:
        pytest.skip("no C compiler")
    source, library = tmp_path / "crash.c", tmp_path / "libcrash.so"
    source.write_text("#include <unistd.h>\n__attribute__((constructor)) static void loaded(void) { _exit(7); }\n")
    subprocess.run([compiler, "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    assert main(["vendor", "--library", str(library)]) == 1
    assert "loading it ended the process (exit status 7)" in capsys.readouterr().out
