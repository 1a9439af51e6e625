"""``tickengine bench``: what a tick costs on this machine, beside what Python programs use otherwise.

A short form of the repository's ``benchmarks/``, which needs neither them nor a compiler::

    writer process ──▶ log, mp.Queue or faster-fifo ──▶ worker processes, each of which gets every tick

`cases` is what is measured, `parts` runs in the processes, `crew` starts and ends them, `figures` makes
rows and the table, `machine` says where it ran, `plot` draws, `command` is the command.
"""

from .command import add_arguments, run

__all__ = ["add_arguments", "run"]
