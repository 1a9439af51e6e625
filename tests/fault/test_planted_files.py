"""Files and links that somebody has put in our way: refused by name, never followed, waited at or removed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from feed_support import IDS, engine_on

from tickengine import ConfigError, SegmentError, TickEngineError, TickLog, TickQueue
from tickengine.flow import FlowDirectory
from tickengine.front import Front, NumberedMarket

ME, OTHER = 54321, 54322  # users that need no entry anywhere

# Runs a program as an ordinary user, for whom rights mean something. What it needs is loaded before.
AS_ME = """
    import os, sys
    from tickengine import ConfigError, TickEngineError, TickLog, TickQueue
    from tickengine._shim import lib
    lib()
    os.setgroups([]); os.setgid({uid}); os.setuid({uid})
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")


def as_me(program: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    text = textwrap.dedent(AS_ME).format(uid=ME) + textwrap.dedent(program)
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=timeout)


@pytest.fixture
def planted() -> Iterator[Callable[[str], str]]:
    """Paths in /dev/shm by the name a user's log has; whatever stands there is removed at the end."""
    paths: list[str] = []

    def path(name: str, uid: int = ME) -> str:
        paths.append(f"/dev/shm/tickengine-{uid}-{name}.log")
        return paths[-1]

    yield path
    for name in paths:
        if os.path.lexists(name):
            os.unlink(name)


# ---- segments ----------------------------------------------------------------------------------------

MODES = """
    import json, os, stat, sys
    os.umask(int(sys.argv[1], 8))
    from tickengine import TickEngine, TickQueue
    flow = sys.argv[2]
    engine = TickEngine(sys.argv[3], "9999", "inv", "", "", "", ["rb2601"], [queue := TickQueue()],
                        page_dir=flow, library=sys.argv[4], name="planted-modes")
    with engine:
        engine.wait_live()
        found = {}
        for where in ("/dev/shm", os.path.dirname(os.path.dirname(flow)) or flow, engine._settings.page_dir):
            for top, _directories, files in os.walk(where):
                if where != "/dev/shm" and top != sys.argv[5]:
                    found[top] = os.stat(top).st_mode
                for name in files:
                    if where != "/dev/shm" or name.startswith("tickengine-"):
                        found[os.path.join(top, name)] = os.stat(os.path.join(top, name)).st_mode
    print(json.dumps(found))
"""


@pytest.mark.genuine
@pytest.mark.parametrize("umask", ["0", "777"])
@pytest.mark.parametrize("kept", [True, False], ids=["page_dir", "temporary"])
def test_whatever_the_umask_everything_is_this_users_alone(
    genuine: str, tmp_path: Path, umask: str, kept: bool
) -> None:
    """The vendor library makes its files itself; so they are looked at when it has made them."""
    with Front(NumberedMarket(IDS)) as front:
        flow = str(tmp_path / "a" / "b") if kept else ""
        program = [sys.executable, "-c", textwrap.dedent(MODES), umask, flow, front.address, genuine, str(tmp_path)]
        done = subprocess.run(program, capture_output=True, text=True, timeout=60, env={**os.environ, "TMPDIR": "/tmp"})
    assert done.returncode == 0, done.stderr
    modes = json.loads(done.stdout)
    names = {os.path.basename(path) for path in modes}
    assert {"tickengine.lock", "engine.log"} <= names and sum(name.endswith(".con") for name in names) >= 1
    assert sum(name.endswith((".log", ".queue")) and name.startswith("tickengine-") for name in names) >= 2
    assert not kept or {str(tmp_path / "a"), flow} <= modes.keys()
    for path, mode in modes.items():
        wanted = 0o700 if stat.S_ISDIR(mode) else 0o600
        assert stat.S_IMODE(mode) == wanted, f"{path} has mode {stat.S_IMODE(mode):o}"


@needs_root
def test_a_segment_of_another_user_or_with_a_second_name_is_not_attached(planted: Callable[..., str]) -> None:
    log = TickLog.create("planted-own", 64, 4)
    own, path = log.path.decode(), planted("planted-own")
    try:
        os.link(own, path)
        os.chown(own, ME, ME)
        done = as_me('TickLog.attach("planted-own")')
        assert "SegmentError" in done.stderr and "has other names (hard links)" in done.stderr, done.stderr
        os.unlink(own)
        assert as_me('TickLog.attach("planted-own")').returncode == 0
        os.chown(path, OTHER, ME)
        os.chmod(path, 0o660)
        done = as_me('TickLog.attach("planted-own")')
        assert f"belongs to user {OTHER} with mode 660" in done.stderr, done.stderr
    finally:
        if not os.path.exists(own):
            os.link(path, own)
        os.chown(own, os.geteuid(), os.getegid())
        os.unlink(path)
        os.chmod(own, 0o600)
        log.unlink()
        log.close()


@needs_root
@pytest.mark.parametrize("kind", ["file", "link", "open file"])
def test_a_name_taken_by_another_user_is_named_and_left_alone(
    planted: Callable[..., str], tmp_path: Path, kind: str
) -> None:
    path, victim = planted("planted-taken"), tmp_path / "victim"
    victim.write_text("precious")
    os.chmod(victim, 0o666)
    if kind == "link":
        os.symlink(victim, path)
    else:
        Path(path).write_text("")
        os.chmod(path, 0o666 if kind == "open file" else 0o600)
    os.lchown(path, OTHER, OTHER)
    done = as_me('TickLog.create("planted-taken", 64, 4)')
    assert done.returncode == 1 and "NameTakenError" in done.stderr, done.stderr
    assert f"belongs to user {OTHER}; have it removed or choose another name" in done.stderr
    assert os.path.lexists(path) and victim.read_text() == "precious"


def test_a_link_in_the_place_of_a_new_log_is_replaced_and_not_followed(
    planted: Callable[..., str], tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for target in (victim, tmp_path / "missing"):
        path = planted("planted-link", os.geteuid())
        os.symlink(target, path)
        log = TickLog.create("planted-link", 64, 4)
        assert not os.path.islink(path)
        log.unlink()
        log.close()
    assert victim.read_text() == "precious" and not (tmp_path / "missing").exists()


@needs_root
def test_what_others_leave_under_our_prefix_stops_nothing(planted: Callable[..., str]) -> None:
    """A FIFO would be waited at for ever, another user's empty file taken for an unfinished segment."""
    fifo, empty, linked = (planted(f"planted-{n}") for n in ("fifo", "empty", "linked"))
    os.mkfifo(fifo)
    Path(empty).touch()
    os.symlink("/dev/zero", linked)
    for path in (fifo, empty, linked):
        if not os.path.islink(path):
            os.chmod(path, 0o666)
        os.lchown(path, OTHER, OTHER)
    done = as_me('log = TickLog.create("planted-fine", 64, 4); TickQueue().close(); log.unlink(); print("done")')
    assert done.stdout == "done\n", done.stderr
    assert all(os.path.lexists(path) for path in (fifo, empty, linked))


@needs_root
def test_what_cannot_be_removed_stays_and_stops_no_sweep() -> None:
    """A mount's place cannot be removed by anybody: it stands here for every file that the kernel keeps."""
    left = """
from tickengine import TickLog, TickQueue
import os
kept = []
for n in "ab":
    kept += TickLog.create("left-" + n, 64, 4), TickQueue(name="left-" + n)
    os.close(os.open(f"/dev/shm/tickengine-0-left-{n}-unfinished.log", os.O_CREAT, 0o600))
os._exit(0)
"""
    sweep = "from tickengine import TickQueue; TickQueue().close(); import os; print(*sorted(os.listdir('/dev/shm')))"
    names = [f"tickengine-0-left-a{rest}" for rest in ("-unfinished.log", ".log", ".queue")]
    keep = "; ".join(f"mount --bind /dev/shm/{name} /dev/shm/{name} || exit 9" for name in names)
    shell = f'mount -t tmpfs none /dev/shm || exit 9; {sys.executable} -c "$0"; {keep}; exec {sys.executable} -c "$1"'
    done = subprocess.run(["unshare", "-m", "sh", "-c", shell, left, sweep], capture_output=True, text=True, timeout=60)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no file system of one's own here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == names


def test_names_given_by_ourselves_cannot_be_guessed() -> None:
    with TickQueue() as one, TickQueue() as two:
        engines = [engine_on("tcp://127.0.0.1:9", "compatible", IDS, []) for _ in range(2)]
        names = {one.name, two.name, *(engine.name for engine in engines)}
    assert len(names) == 4
    for name in names:
        assert len(bytes.fromhex(name.rpartition("-")[2])) >= 8, name


# ---- flow directories --------------------------------------------------------------------------------


def refused(path: Path, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        FlowDirectory(str(path)).close()
    assert not (path / "tickengine.lock").exists()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_flow_directory_that_everybody_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    flow = tmp_path / "flow"
    flow.mkdir()
    flow.chmod(mode)
    refused(flow, f"can be written by everybody: chmod 700 {flow}")
    flow.chmod(0o755)
    FlowDirectory(str(flow)).close()


def test_a_directory_that_everybody_can_exchange_is_refused(tmp_path: Path) -> None:
    above, flow = tmp_path / "above", tmp_path / "above" / "flow"
    flow.mkdir(parents=True)
    above.chmod(0o777)
    refused(flow, f"'{above}' above it can be written by everybody.*chmod \\+t")
    refused(above / "new" / "newer", "above it can be written by everybody")
    link = tmp_path / "link"
    link.symlink_to(flow)  # through a link it is the same directory
    refused(link, "above it can be written by everybody")
    above.chmod(0o1777)  # as /tmp
    FlowDirectory(str(link)).close()


@pytest.mark.parametrize("umask", [0, 0o777])
def test_with_an_api_in_this_process_too_the_umask_decides_nothing(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        flows = [FlowDirectory(str(tmp_path / "a" / "b")), FlowDirectory("")]
    finally:
        os.umask(before)
    paths = [tmp_path / "a", *(Path(flow.path) for flow in flows)]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in paths]
    locks = [stat.S_IMODE((path / "tickengine.lock").stat().st_mode) for path in paths[1:]]
    for flow in flows:
        flow.close()
    assert (modes, locks) == ([0o700] * 3, [0o600] * 2)


@needs_root
def test_a_flow_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    flow = tmp_path / "flow"
    flow.mkdir()
    os.chown(flow, OTHER, OTHER)
    refused(flow, f"belongs to user {OTHER}, not to this one \\(0\\)")


def test_a_flow_directory_of_a_group_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    flow = tmp_path / "flow"
    flow.mkdir()
    flow.chmod(0o775)
    FlowDirectory(str(flow)).close()
    assert f"can be written by its group: chmod 700 {flow}" in caplog.text


def plant(kind: str, path: Path, victim: Path) -> None:
    if kind == "symbolic link":
        path.symlink_to(victim)
    elif kind == "dangling link":
        path.symlink_to(victim.with_name("missing"))
    elif kind == "hard link":
        os.link(victim, path)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()


@pytest.mark.parametrize("name", ["tickengine.lock", "engine.log"])
@pytest.mark.parametrize("kind", ["symbolic link", "dangling link", "hard link", "fifo", "directory"])
def test_what_stands_in_the_place_of_our_files_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    flow, victim = tmp_path / "flow", tmp_path / "victim"
    flow.mkdir(mode=0o700)
    victim.write_text("precious")
    plant(kind, flow / name, victim)
    engine = engine_on("tcp://127.0.0.1:9", "compatible", IDS, [], page_dir=str(flow))
    try:
        with pytest.raises(TickEngineError, match=name):
            engine.start()
    finally:
        engine.stop()
    assert victim.read_text() == "precious" and not (tmp_path / "missing").exists()


def test_an_engine_log_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    flow = tmp_path / "flow"
    flow.mkdir(mode=0o755)
    (flow / "engine.log").write_text("of an earlier day\n")
    (flow / "engine.log").chmod(0o644)
    with engine_on("tcp://127.0.0.1:9", "compatible", IDS, [], page_dir=str(flow)):
        pass
    assert stat.S_IMODE((flow / "engine.log").stat().st_mode) == 0o600
    assert (flow / "engine.log").read_text().startswith("of an earlier day\n")


# ---- what is read from a segment ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [b"[" * 3000, b"{", b"5", b'"live"', b'{"state": 5}', b"\xff\xfe", b'{"state": ["live"]}', b"null"]
)
def test_a_status_that_no_session_has_written_is_one_error(text: bytes) -> None:
    from tickengine._shim import lib

    log = TickLog.create("planted-status", 64, 4)
    try:
        lib().log_status_set(log.handle, text, len(text))
        with pytest.raises(SegmentError, match="the status in '.*planted-status.log' is damaged"):
            log.status()
        done = subprocess.run(
            [sys.executable, "-m", "tickengine", "status", "planted-status"], capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    finally:
        log.unlink()
        log.close()
