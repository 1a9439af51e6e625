"""`tickengine check`: every mistake, where it stands and what to do; and nothing of a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tickengine import ConfigError, TickLog, cli
from tickengine.feed import Mistakes, load
from tickengine.feed.checks import memory
from tickengine.feed.run import EXIT_DECIDED
from tickengine.feed.schema import KEYS
from tickengine.tick import TickFlag

Write = Callable[..., str]

SECTIONS = "[instruments]\nids = ['rb2705']\n[engine]\nlibrary = 'compatible'\n"


def mistakes(path: str, *sets: str) -> list[str]:
    """Without the directory."""
    with pytest.raises(Mistakes) as caught:
        load(path, sets)
    return [line.replace(os.path.dirname(path) + "/", "") for line in caught.value.lines]


def test_a_good_one_is_described_and_nothing_is_started(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(os.listdir("/dev/shm"))
    path = write(
        'front = ["loopback", "tcp://127.0.0.1:5"]\nbroker = 1234\nuser = "007"\n'
        '[instruments]\nids = ["rb*", "IF2705"]\nmonths = 3\n[engine]\nname = "md"\nlibrary = "compatible"\n'
        "cpus = 0\nstale_after = 60\non_stale = 'restart'\nwatchdog = false\n"
        '[queues.w1]\n[queues.w2]\ninstruments = "rb*"\nwait = "block"\nskip = ["SNAPSHOT", "DUPLICATE"]\n'
        'events = true\n[metrics]\nlisten = "9464"\n[logging]\nformat = "json"\nlevel = "debug"\n'
    )
    assert cli.main(["check", path]) == 0
    out, err = capsys.readouterr()
    assert "instruments:  4 ids" in out and "rb*: 3 ids" in out and "queue:        w2: 3 ids" in out and err == ""
    assert "preset loopback" in out and "http://127.0.0.1:9464/metrics" in out and "wait block, events" in out
    feed = load(path)
    assert feed.fronts == ("tcp://127.0.0.1:41213", "tcp://127.0.0.1:5") and (feed.broker, feed.user) == ("1234", "007")
    assert feed.options["watchdog"] is None and feed.options["name"] == "md"
    assert [feed.options[key] for key in ("stale_after", "on_stale")] == [60, "restart"]
    assert feed.queues[1].skip == TickFlag.SNAPSHOT | TickFlag.DUPLICATE and feed.queues[0].instruments is None
    assert set(os.listdir("/dev/shm")) == before


EVERYTHING_WRONG = """\
front = ["tcp://1.2.3.4:99999", "simnov",
    "1.2.3.4:5"]
brokr = "9999"
user = 12345678901234567
password_env = "hunter2!"
cpus = 3

[instruments]
ids = [ "RB*", "rc26*",
  "", "[ab", "rb2705"]
file = "missing.txt"

[engine]
name = "a b"
capacity = "many"
library = "nope"
cpus = 99999
realtime = 100
stale_after = -1
watchdog = 1

[queues]
q1 = 4
[queues."bad name"]
wait = "sleep"
skip = ["SNAPSHOT", "FOO"]
[queues.ok]
instruments = ["zz", "rb2705"]

[metrics]
listen = "nowhere"
[logging]
format = "xml"
lvl = "x"
[loging]
a = 1
"""


def test_every_mistake_is_told_in_one_go_in_the_order_of_the_lines(write: Write) -> None:
    found = mistakes(write(EVERYTHING_WRONG), "engine.restart=5", "logging.level=loud")
    expected = [
        r"feed.toml: broker: is missing: broker = ",
        r"feed.toml:1: front: front address 'tcp://1.2.3.4:99999' must be tcp://host:port",
        r"feed.toml:1: front: 'simnov' is neither .*; did you mean 'simnow'\?",
        r"feed.toml:3: brokr: is not known; did you mean broker\?",
        r"feed.toml:4: user: must have at most 15 bytes",
        r"feed.toml:5: password_env: must be the name of an environment variable, such as CTP_PASSWORD",
        r"feed.toml:6: cpus: is not known; it belongs into \[engine\]",
        r"feed.toml:9: instruments.ids: pattern 'RB\*' matches nothing: there is no product 'RB'; did you mean 'rb'\?",
        r"feed.toml:9: instruments.ids: pattern 'rc26\*' matches nothing: there is no product 'rc'",
        r"feed.toml:10: instruments.ids: instrument id '' must have",
        r"feed.toml:10: instruments.ids: pattern '\[ab' matches nothing: a bracket is not closed",
        r"feed.toml:11: instruments.file: missing.txt: No such file",
        r"feed.toml:14: engine.name: 'a b' cannot be used: 1 to 48 letters",
        r"feed.toml:15: engine.capacity: must be a whole number, not a text",
        r"feed.toml:16: engine.library: package 'nope' is not installed",
        r"feed.toml:17: engine.cpus: .*99999",
        r"feed.toml:19: engine.stale_after: must be a positive number of seconds or be left out, not -1",
        r"feed.toml:20: engine.watchdog: must be at least 5 seconds",
        r"feed.toml:23: queues.q1: is a queue: write \[queues.q1\]",
        r"feed.toml:24: queues.bad name: name 'bad name' cannot be used",
        r"feed.toml:25: queues.bad name.wait: must be adaptive, spin or block, not 'sleep'",
        r"feed.toml:26: queues.bad name.skip: 'FOO' is no flag; the flags are SNAPSHOT, ",
        r"feed.toml:28: queues.ok.instruments: 'zz' is not among the instruments that are subscribed",
        r"feed.toml:31: metrics.listen: 'nowhere' must be host:port",
        r"feed.toml:33: logging.format: must be text or json, not 'xml'",
        r"feed.toml:34: logging.lvl: is not known; did you mean level\?",
        r"feed.toml:35: loging: is not known; did you mean logging\?",
        r"--set engine.restart: engine.restart: must be true or false, not a number",
        r"--set logging.level: logging.level: must be debug, info, warning or error, not 'loud'",
    ]
    assert len(found) == len(expected), "\n".join(found)
    for line, pattern in zip(found, expected):
        assert re.match(pattern, line), f"{line}\nis not\n{pattern}"
    assert not any("hunter2" in line for line in found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "front: is missing"),
        ("front = []", "front: is empty"),
        ("front = 'loopback'\n[instruments]", "instruments: no instruments: give ids"),
        ("front = 'tcp://CHANGE-ME:1'\nbroker = 'CHANGE-ME'", "feed.toml:2: broker: 'CHANGE-ME' is the example's"),
        ("front = ['loopback', 'simnow']", "these presets do not belong together"),
        ("front = 'tcp://1.1.1.1:1'\nbroker = ''", "broker: is empty"),
        ("front = 'tcp://1.1.1.1:1'\nbroker = '1'\nuser = 'u'", "password: is missing: password_file"),
        ("password_env = 'A'\npassword_file = 'b'", "password_env: give password_file or password_env, not both"),
        ("password_env = 'TICKENGINE_NOT_SET'", "password_env: the environment variable of this name is not set"),
        ("instruments = ['rb2601']", "feed.toml:1: instruments: is a section: write [instruments]"),
        ("[engine]\nrealtime = 3\ncpus = '0'\n", "engine.realtime: needs a CPU"),
        ("[engine]\npage_dir = \"a\\u0000b\"", "engine.page_dir: "),
        ("[engine]\ncapacity = 1", "engine.capacity: must be from 2 to"),
        ("[engine]\nname = 'x'\n[queues.x]", "queues.x: has the engine's name"),
        ("[engine]\non_stale = 'kill'", "engine.on_stale: must be 'tell' or 'restart', not 'kill'"),
        ("[engine]\non_stale = 'restart'", "engine.on_stale: must be 'tell' without stale_after"),
        ("[engine]\nstale_after = 9\non_stale = 'restart'\nrestart = false", "engine.on_stale: must be 'tell' with"),
        ("[engine]\nstale_after = 0", "engine.stale_after: must be a positive number"),
        ("[engine]\nwatchdog = 0", "engine.watchdog: must be at least 5 seconds"),
        ("[instruments]\nmonths = 0", "instruments.months: must be from 1 to 60, not 0"),
        ("[queues.a]\nstart = 1\ninstruments = []", "queues.a.start: is not known; did you mean "),
        ("[engine]\nformat = 'json'", "engine.format: is not known; it belongs into [logging]"),
        ("[queues.a]\nids = []", "queues.a.ids: is not known; it belongs into [instruments]"),
        ("[recorder]\ninstruments = 'rb2705'", "recorder.directory: is missing"),
        ("[recorder]\ndirectory = '/dev/null/x'", "recorder.directory: /dev/null is no directory"),
        ("[recorder]\ndirectory = '/proc/1/x'\n[instruments]\nids='rb2705'", "recorder.directory: "),
        ("[instruments]\nids = ['rb*', 5]", "a text or a list of texts, not a list with a number in it"),
        ("[engine]\ncpus = [1, 'a']", "engine.cpus: must be a CPU number, a list of them, or a text"),
        ('[instruments]\nids = ["rb2705", "rb27\\n05"]', r"instruments.ids: instrument id 'rb27\n05' must have"),
        ("[metrics]\nlisten = 'h:99999'", "metrics.listen: 'h:99999' must be host:port"),
    ],
)  # fmt: skip
def test_single_mistakes(write: Write, text: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})  # a machine with one CPU
    assert any(words in line for line in mistakes(write(text))), mistakes(write(text))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"front = simnow\n", "feed.toml:1: is no TOML: .*; a text stands in quotes"),
        (b"user = 007\n", "feed.toml:1: is no TOML: .*; a number has no leading zero"),
        ("user = “x”\n".encode(), "feed.toml:1: is no TOML: .*; quotes are \" or ', not “"),
        (b"a = 1\n[x\n", "feed.toml:2: is no TOML"),
        (b"a = 1\na = 2\n", "feed.toml:2: is no TOML"),
        (b"a = [1,\n\n", r"feed.toml:\d: is no TOML"),
        (b"a = 1\nb = '\xc3\x28'\n", "feed.toml:2: is not UTF-8 text"),
        (b"\xef\xbb\xbfa = 1\n", "feed.toml:1: begins with a byte order mark"),
        (b"#" * (1 << 20) + b"\n", "has more than"),
        (b"a = " + b"[" * 100_000, "brackets are nested too deep"),
    ],
)
def test_what_is_no_toml_is_one_line(tmp_path: Path, raw: bytes, words: str) -> None:
    path = tmp_path / "feed.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=words) as caught:
        load(str(path))
    assert "\n" not in str(caught.value)


def test_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(tmp_path / "none.toml")]) == 1
    assert "No such file or directory; `tickengine init" in capsys.readouterr().err
    assert cli.main(["check", str(tmp_path)]) == 1 and "Is a directory" in capsys.readouterr().err
    assert cli.main(["run", str(tmp_path)]) == EXIT_DECIDED and "Is a directory" in capsys.readouterr().err


QUEUES_257 = "".join(f"[queues.q{number}]\n" for number in range(257))
UNMADE = "(nothing can be made in /proc: .*; take another directory|/proc cannot be written by this user)"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (QUEUES_257, r":262: queues\.q256: there are 257 queues, and a log has places for 256: leave out 1$"),
        (
            QUEUES_257.replace("[queues.q3]\n", "[recorder]\ndirectory = 'ticks'\n[logging]\nformat = 'json'\n"),
            r":264: queues\.q255: there are 256 queues, and a log has places for 256, 2 of them for the recorder and "
            "the JSON log: leave out 2$",
        ),
        ("[queues.'md.recorder']\n", r":6: queues\.md\.recorder: is the name of a queue that the feed .*: rename it$"),
        ("[queues.'md.events']\n", r":6: queues\.md\.events: is the name of a queue that the feed .*: rename it$"),
        ("vendor_version = '9.9.9'\n", r":6: engine\.vendor_version: .* is refused: version '9\.9\.9' is newer .*"),
        ("page_dir = '/proc/x'\n", rf":6: engine\.page_dir: {UNMADE}$"),
        ("[recorder]\ndirectory = '/proc/x'\n", rf":7: recorder\.directory: {UNMADE}$"),
        ("[metrics]\nlisten = '192.0.2.1:1'\n", r":7: metrics\.listen: '192.0.2.1' cannot be listened at: .*; give "),
        (f"[metrics]\nlisten = '{'x' * 64}:1'\n", r":7: metrics\.listen: 'x+' cannot be listened at: .*; give .*$"),
    ],
)  # fmt: skip
def test_what_run_would_refuse_is_refused_by_check(
    write: Write, more: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(
        f"front = 'loopback'\n[instruments]\nids = 'rb2705'\n[engine]\nlibrary = 'compatible'\n{more}", "md.toml"
    )
    said = []
    for command, status in (("check", 1), ("run", EXIT_DECIDED)):
        assert cli.main([command, path]) == status
        said.append(capsys.readouterr().err)
    assert said[0] == said[1] and said[0].count("\n") == 2
    assert re.match(re.escape(f"tickengine: {path}") + words, said[0].splitlines()[0])
    assert os.listdir(os.path.dirname(path)) == ["md.toml"]


def test_as_many_queues_as_the_log_has_places_for(write: Write) -> None:
    base = "front = 'loopback'\n" + SECTIONS
    full = write(base + QUEUES_257.replace("[queues.q3]\n", ""))
    assert len(load(full).queues) == 256
    assert any("q256: there are 256 queues" in m for m in mistakes(full, "logging.format=json"))


def test_a_library_or_a_page_directory_that_is_refused(write: Write, tmp_path: Path) -> None:
    (tmp_path / "no.so").write_text("no library")
    sets = (f"engine.library={tmp_path}/no.so", "engine.vendor_version=6.7.13")
    (found,) = mistakes(write(), *sets)
    assert found.startswith("--set engine.library: engine.library: ") and "cannot be loaded" in found
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow").chmod(0o777)
    (found,) = mistakes(write(), f"engine.page_dir={tmp_path}/flow")
    assert "can be written by everybody: chmod 700" in found
    (found,) = mistakes(write(), f"engine.page_dir={tmp_path}/flow/a/b")
    assert "above it can be written by everybody" in found
    # A version that can be believed, and a directory that will be made.
    feed = load(write(), ["engine.vendor_version=6.7.13", f"engine.page_dir={tmp_path}/a/b"])
    assert feed.vendor.layout == 3 and not (tmp_path / "a").exists()


# ---- secrets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "password = 'hunter2'", "auth_code = 'hunter2'", "[engine]\npassword = 'hunter2'",
        "[queues.a]\npassword = 'hunter2'",
        "[x]\npassword = 'hunter2'", "password_env = 'hunter2'", "password = ['hunter2']", "password.x = 'hunter2'",
        "password = 'hunter2\n",
    ],
)  # fmt: skip
def test_a_secret_in_the_file_is_refused_and_not_shown(
    write: Write, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", write(text)]) == 1
    out, err = capsys.readouterr()
    assert "hunter2" not in out + err and ("password" in err or "auth_code" in err or "is no TOML" in err)


@pytest.mark.parametrize(
    "given", ["password=hunter2", "auth_code=hunter2", "x.password='hunter2'", "password=[hunter2"]
)
def test_a_secret_on_the_command_line_is_refused_and_not_shown(
    write: Write, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("check", "run"):
        assert cli.main([command, write(), "--set", given]) != 0
        out, err = capsys.readouterr()
        assert "hunter2" not in out + err and "a secret does not belong into a command" in err


def test_secrets_are_taken_from_safe_places_only(write: Write, password: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("front = 'simnow'\nuser = '1'\npassword_file = 'password'\n" + SECTIONS)
    feed = load(path)
    assert feed.password.reveal() == "pass-word-1" and "pass-word-1" not in repr(feed)
    assert feed.broker == "9999" and feed.app_id == "simnow_client_test" and feed.auth_code.reveal() == "0" * 16
    password.chmod(0o644)
    assert any("feed.toml:3: password_file: password file" in m and "chmod 600" in m for m in mistakes(path))
    password.chmod(0o600)
    password.write_text("x" * 41)
    assert any("password_file: password must have at most 40 bytes" in m for m in mistakes(path))
    monkeypatch.setenv("TICKENGINE_TEST_PASSWORD", "pass-word-2")
    by_variable = write("front = 'simnow'\nuser = '1'\npassword_env = 'TICKENGINE_TEST_PASSWORD'\n" + SECTIONS)
    assert load(by_variable).password.reveal() == "pass-word-2"
    assert "TICKENGINE_TEST_PASSWORD" not in os.environ


# ---- --set -----------------------------------------------------------------------------------------


def test_set_takes_toml_and_bare_words(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKENGINE_TEST_SET", "pass-word-3")
    feed = load(
        write(),
        [
            "engine.capacity=128", "engine.name = other", 'instruments.ids=["rb2705", "m2705"]', "user=007",
            "broker=9999", "front=tcp://127.0.0.1:1", "password_env=TICKENGINE_TEST_SET", "queues.q.events=true",
            'queues."r.s".wait="block"', "engine.stale_after=2.5", "queues.t={}",
        ],
    )  # fmt: skip
    assert feed.options["capacity"] == 128 and feed.options["name"] == "other" and feed.user == "007"
    assert feed.choice.ids == ("rb2705", "m2705") and feed.fronts == ("tcp://127.0.0.1:1",)
    assert [(q.name, q.events, q.wait) for q in feed.queues] == [
        ("q", True, "adaptive"), ("r.s", False, "block"), ("t", False, "adaptive"),
    ]  # fmt: skip
    assert feed.options["stale_after"] == 2.5 and feed.password.reveal() == "pass-word-3"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("engine.name", "--set engine.name: must be KEY=VALUE"),
        ("=1", "--set : must be KEY=VALUE"),
        ("a..b=1", "--set a..b: must be KEY=VALUE"),
        ('engine.name="x', "--set engine.name: '\"x' is no TOML value"),
        ("engine.name=", "--set engine.name: '' is no TOML value"),
        ("front.x=1", "--set front.x: front is no section"),
        ("engine.name='a'\nb=1", "--set engine.name: must be one value"),
        ("engine.name=" + "[" * 100_000, "--set engine.name: brackets"),
    ],
)
def test_a_wrong_set_is_named(write: Write, given: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(), [given])
    assert str(caught.value).startswith(words)


def test_mistakes_in_a_set_are_named_as_such(write: Write) -> None:
    assert mistakes(write(), "engine.nam=x", "logging=1", "queues.q.skip=['A']") == [
        "--set engine.nam: engine.nam: is not known; did you mean name?",
        "--set logging: logging: is a section: write [logging] and its keys below",
        "--set queues.q.skip: queues.q.skip: 'A' is no flag; the flags are " + ", ".join(TickFlag.__members__),
    ]


def test_paths_begin_at_the_file_and_those_of_set_here(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ids.txt").write_text("rb2701\n")
    here = tmp_path / "here"
    here.mkdir()
    (here / "ids.txt").write_text("rb2702\n")
    monkeypatch.chdir(here)
    path = write(
        "front = 'loopback'\n[instruments]\nfile = 'ids.txt'\n[engine]\nlibrary='compatible'\npage_dir='flow'\n"
    )
    assert load(path).choice.ids == ("rb2701",) and load(path).page_dir == str(tmp_path / "flow")
    assert load(path, ["instruments.file=ids.txt"]).choice.ids == ("rb2702",)


# ---- init ------------------------------------------------------------------------------------------


def test_init_writes_what_check_takes_but_for_the_placeholders(
    tmp_path: Path, password: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "feed.toml"
    assert cli.main(["init", str(path)]) == 0 and "CHANGE-ME" in capsys.readouterr().out
    text = path.read_text()
    library = "engine.library=compatible"  # whichever is installed
    found = mistakes(str(path), library)
    assert [re.sub(r": '.*", "", m) for m in found] == [f"feed.toml:{n}: {k}" for n, k in
                                                        ((4, "front"), (6, "broker"), (7, "user"))]  # fmt: skip
    good = text.replace("tcp://CHANGE-ME:41213", "tcp://1.2.3.4:5").replace("CHANGE-ME", "1234")
    path.write_text(good)
    assert load(str(path), [library]).password.reveal() == "pass-word-1"
    # Its commented keys, too: each is known and has a right form.
    opened = re.sub(r"^# (?=\w+ = )", "", good, flags=re.MULTILINE)
    assert opened.count("\n#") < good.count("\n#")
    (tmp_path / "main.txt").write_text("rb2705\n")
    (tmp_path / "all.csv").write_text("InstrumentID\nrb2705\nIF2705\n")
    path.write_text(opened)
    machine = ("engine.cpus", "engine.realtime", "engine.library")  # what it has is not the example's matter
    assert [m for m in mistakes_or_none(str(path)) if not any(key in m for key in machine)] == []
    assert cli.main(["init", str(path)]) == 1 and path.read_text() == opened
    assert "is there already" in capsys.readouterr().err
    assert cli.main(["init", str(tmp_path / "no" / "x.toml")]) == 1 and "cannot be written" in capsys.readouterr().err


def mistakes_or_none(path: str) -> list[str]:
    try:
        load(path)
    except Mistakes as found:
        return found.lines
    return []


def test_every_key_of_the_schema_is_read(write: Write) -> None:
    """A wrong form is found for each: none is let through unseen."""
    for key in KEYS:
        section = f"[{key.section}.x]\n" if key.section == "queues" else f"[{key.section}]\n" if key.section else ""
        found = mistakes(write(f"{section}{key.name} = 1979-05-27\n"))
        assert any(f"{key.name}: must be {key.form.words}, not a date" in line for line in found), key


def test_the_memory_is_the_logs(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    for records in (2, 3, 64, 65536):
        log = TickLog.create(f"test-memory-{os.getpid()}", records)
        try:
            assert abs(os.stat(log.path).st_size - memory(records)) < 8 * 4096  # rounded up to pages
        finally:
            log.unlink()
            log.close()
    assert cli.main(["check", write(), "--set", "engine.capacity=4294967296"]) == 0
    assert "MiB in /dev/shm, which has" in capsys.readouterr().err


POOL = [
    "0", "-1", "9999999999", "1.5", "nan", "true", "false", "1979-05-27", "''", "'x'", "'rb*'", "'a b'", "'*'", "'[a'",
    "'\\u0000'", '"\\u0000"', '"\\uD7FF\\u4E2D"', "'0-1'", "'127.0.0.1:1'", "'tcp://h:1'", "'/nonexistent/x'",
    "'/proc/1/mem'", "[]", "['x']", "['rb2705', '']", "[1]", "[[1]]", "{}", "{ a = 1 }", "{ wait = 'block' }",
    "'simnow'", "'compatible'",
]  # fmt: skip
names = st.sampled_from([*{key.name for key in KEYS}, "password", "auth_code", "engine", "queues", "zz"])
bodies = st.dictionaries(names, st.sampled_from(POOL), max_size=4)
sections = st.sampled_from(
    ["instruments", "engine", "queues.a", "queues.'b c'", "recorder", "metrics", "logging", "zz"]
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(top=bodies, more=st.dictionaries(sections, bodies, max_size=3), sets=bodies)
def test_any_document_is_a_feed_or_lines_that_say_where(
    write: Write, top: dict[str, str], more: dict[str, dict[str, str]], sets: dict[str, str]
) -> None:
    def text(body: dict[str, str]) -> str:
        return "".join(f"{key} = {value}\n" for key, value in body.items())

    path = write(text(top) + "".join(f"[{name}]\n{text(body)}" for name, body in more.items()))
    lines = []
    try:
        load(path, [f"engine.{key}={value}" for key, value in sets.items()])
    except ConfigError as error:
        lines = str(error).splitlines()
    assert all(line.startswith((path, "--set ")) for line in lines)
