"""``tickengine top`` on a terminal: what it shows follows the feed and the keys, and the terminal is put back."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from terminal import Terminal
from writing import Feed

from tickengine import TickQueue

TOP = ("-m", "tickengine", "top")
FAST = ("--interval", "0.1")


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed(capacity=4096)
    feed.log.set_status_text({"state": "live", "front": "tcp://127.0.0.1:1", "trading_day": "20260105"})
    for name in ("rb2601", "au2602"):
        feed.tick(name, LastPrice=4000.5, Volume=7)
    yield feed
    feed.close()


def test_what_is_shown_follows_the_feed_and_the_keys(feed: Feed) -> None:
    queue = feed.queue(name="strategy-1")
    with Terminal([*TOP, feed.log.name, *FAST]) as terminal:
        first = terminal.until(lambda s: "[1 instruments]" in s, "the instruments")
        assert feed.log.name in first and "LIVE" in first and "day 20260105" in first
        assert re.search(r"au2602 .*4000\.5", first) and "rb2601" in first
        feed.tick("rb2601", LastPrice=4321.5)
        terminal.until(lambda s: re.search(r"rb2601 .*4321\.5", s), "the new price")
        feed.event("front_disconnected", reason=4097)
        terminal.until(lambda s: "front disconnected: 4097 (0x1001)" in s, "the event with its words")
        terminal.press("2")
        terminal.until(lambda s: re.search(r"strategy-1 .*no reader +4 +0", s), "the queue and its lag")
        queue.get_many()
        terminal.until(lambda s: re.search(r"strategy-1 .*(awake|asleep) +[01] +0", s), "that its reader has taken all")
        for _ in range(200):  # one at least is measured
            feed.tick("rb2601")
            queue.get()
        terminal.until(lambda s: re.search(r"strategy-1 .*\d[num]s", s), "its latency")
        terminal.press("1/AU")
        typed = terminal.until(lambda s: "/AU_" in s, "the filter as it is typed")
        assert "au2602" in typed and not re.search(r"^rb2601", typed, re.MULTILINE)
        terminal.press("\r")
        terminal.until(lambda s: re.search(r"/AU +1-1 of 1", s), "the filter in force")
        terminal.press("\x1b")
        terminal.until(lambda s: "1-2 of 2" in s, "all of them again")
        terminal.press("rs")
        terminal.until(lambda s: "lastv" in s, "sorted by the next column")
        terminal.press("p")
        terminal.until(lambda s: "PAUSED" in s, "the pause")
        feed.tick("rb2601", LastPrice=5555.5)
        terminal.press("?")
        assert "5555.5" not in terminal.until(lambda s: "sort by the next column" in s, "the help")
        terminal.press("?p")
        terminal.until(lambda s: "5555.5" in s and "PAUSED" not in s, "the feed again")
        terminal.resize(160, 40)
        wide = terminal.until(lambda s: max(map(len, s.splitlines()), default=0) > 100, "the wider screen")
        assert "strategy-1" in wide, "there is room for the queues as well"
        terminal.press("q")
        assert terminal.ended() == 0 and terminal.put_back()


@pytest.mark.parametrize(("how", "status"), [("\x03", 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_terminal_is_put_back_however_it_ends(feed: Feed, how: str | signal.Signals, status: int) -> None:
    with Terminal([*TOP, feed.log.name, *FAST]) as terminal:
        terminal.until(lambda s: "rb2601" in s, "the instruments")
        terminal.press(how) if isinstance(how, str) else os.kill(terminal.pid, how)
        assert terminal.ended() == status and terminal.put_back()
        assert "Traceback" not in terminal.text()


# A shell in short: its job has the terminal; it tells when the job has stopped, and how the terminal is then.
SHELL = """
import os, signal, subprocess, sys, termios
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = subprocess.Popen([sys.executable, *sys.argv[1:]], preexec_fn=os.setpgrp)
os.tcsetpgrp(0, job.pid)
_, status = os.waitpid(job.pid, os.WUNTRACED)
os.tcsetpgrp(0, os.getpgrp())
print("STOPPED" if os.WIFSTOPPED(status) else status, bool(termios.tcgetattr(0)[3] & termios.ECHO), flush=True)
os.tcsetpgrp(0, job.pid)
os.killpg(job.pid, signal.SIGCONT)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(job.pid, 0)[1]))
"""


def test_ctrl_z_stops_it_and_gives_the_terminal_back_meanwhile(feed: Feed) -> None:
    with Terminal(["-c", SHELL, *TOP, feed.log.name, *FAST]) as terminal:
        terminal.until(lambda s: "rb2601" in s, "the instruments")
        terminal.press("\x1a")
        terminal.until(lambda _: "STOPPED True" in terminal.text(), "the shell has the terminal, with its echo")
        shown = terminal.out.count("\x1b[?1049h")
        terminal.until(lambda _: terminal.out.count("\x1b[?1049h") > max(1, shown - 1), "the screen taken again")
        feed.tick("rb2601", LastPrice=4444.5)
        terminal.until(lambda s: "4444.5" in s, "the feed again")
        terminal.press("q")
        assert terminal.ended() == 0 and terminal.put_back()


def test_it_ends_with_the_engine_and_says_so(feed: Feed) -> None:
    with Terminal([*TOP, feed.log.name, *FAST]) as terminal:
        terminal.until(lambda s: "rb2601" in s, "the instruments")
        feed.log.end()
        assert terminal.ended() == 0 and terminal.put_back()
        assert terminal.text().rstrip().endswith(f"engine {feed.log.name} has stopped")


def test_an_engine_that_has_failed_ends_it_with_status_1(feed: Feed) -> None:
    with Terminal([*TOP, feed.log.name, *FAST]) as terminal:
        terminal.until(lambda s: "rb2601" in s, "the instruments")
        feed.log.set_status_text({"state": "failed", "failure": "wrong password"})
        feed.log.end()
        assert terminal.ended() == 1
        assert terminal.text().rstrip().endswith(f"engine {feed.log.name} has failed: wrong password")


def test_with_wait_it_comes_back_with_the_engine() -> None:
    with ExitStack() as feeds:
        first = feeds.enter_context(closing(Feed()))
        name = first.log.name
        terminal = feeds.enter_context(Terminal([*TOP, name, "--wait", *FAST], width=120))
        first.tick("rb2601")
        terminal.until(lambda s: "rb2601" in s, "the instruments")
        first.log.end()
        terminal.until(lambda s: "has stopped; waiting for it to come back" in s, "that it waits")
        first.log.unlink()
        second = feeds.enter_context(closing(Feed(name=name)))
        second.tick("IF2601", LastPrice=3900.0)
        assert "waiting" not in terminal.until(lambda s: "IF2601" in s, "the new engine's instrument")
        terminal.press("q")
        assert terminal.ended() == 0 and terminal.put_back()
        second.log.unlink()  # else the first one, which is closed last, finds another log of its name


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_without_colours(feed: Feed, environment: dict[str, str]) -> None:
    feed.event("front_disconnected", reason=4097)
    with Terminal([*TOP, feed.log.name, *FAST], **environment) as terminal:
        terminal.until(lambda _: terminal.text().count("[1 instruments]") > 1, "two screens")
        terminal.press("q")
        assert terminal.ended() == 0
    colours = re.findall(r"\x1b\[[0-9;]*m", terminal.out)
    assert not [c for c in colours if re.search(r"\b(3[0-7]|4[0-7]|9[0-7]|38|48)\b", c)], colours
    if environment.get("TERM") == "dumb":
        assert "\x1b" not in terminal.out


def test_a_reader_that_died_is_told(feed: Feed) -> None:
    from children import in_child

    queue = feed.queue(name="worker-1")
    pid = in_child(_read_and_die, queue)
    os.waitpid(pid, 0)
    with Terminal([*TOP, feed.log.name, *FAST]) as terminal:
        terminal.until(lambda s: "reader dead: worker-1" in s, "the warning")
        terminal.press("2")
        terminal.until(lambda s: re.search(r"worker-1 .*DEAD", s), "the queue")
        terminal.press("q")
        assert terminal.ended() == 0


def _read_and_die(queue: TickQueue) -> None:
    queue.get()
    os.kill(os.getpid(), signal.SIGKILL)


def test_where_there_is_no_terminal_it_says_what_to_use(feed: Feed, capfd: pytest.CaptureFixture[str]) -> None:
    from tickengine.cli import main

    assert threading.current_thread() is threading.main_thread() and not sys.stdout.isatty()
    assert main(["top", feed.log.name]) == 1
    assert "use --once or --once --json" in capfd.readouterr().err
