"""`tickengine demo`, the documents' first command: an invented market, the genuine library, two workers."""

from __future__ import annotations

import re
import subprocess
import sys


def test_the_demo_delivers_every_tick_and_ends(genuine: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tickengine", "demo", "--seconds", "3", "--library", genuine],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    ended = re.search(
        r"^stopped\. ([\d,]+) ticks written; all instruments: ([\d,]+) received, 0 lost; "
        r"rb2601, IF2512: ([\d,]+) received, 0 lost$",
        done.stdout,
        re.MULTILINE,
    )
    assert ended, done.stdout
    written, everything, two = (int(number.replace(",", "")) for number in ended.groups())
    assert written == everything > two > 0
    assert re.search(r"^all instruments +\d+ ", done.stdout, re.MULTILINE), "the table"
