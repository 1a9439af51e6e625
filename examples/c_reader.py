"""Compiles examples/c/follow.c with gcc and lets it read the log of a running engine.

python examples/c_reader.py
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from _feed import arguments, feed

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    args = arguments("A reader in C.")
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/follow"
        flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", f"-I{ROOT}/shim/include"]
        subprocess.run(["gcc", *flags, f"{ROOT}/examples/c/follow.c", "-o", program], check=True)
        with feed(args, []) as engine:
            subprocess.run([program, engine.name, "oldest", str(args.ticks)], check=True)


if __name__ == "__main__":
    main()
