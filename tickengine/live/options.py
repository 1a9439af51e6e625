"""The command line of a strategy."""

from __future__ import annotations

import argparse
import logging
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from .._errors import ConfigError
from .accounts import Account, config_path, load_account
from .strategy import AbstractStrategy


class Options:
    """What the command line said. Made by `get_command_line_parser`.

    Attributes:
        account, name: as given.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.account: str = arguments.account
        self.name: str = arguments.name
        self._arguments = arguments
        self._logger: logging.Logger | None = None

    def get_base_folder(self) -> str:
        """The strategy's own directory, made if it was not there: flow files, journal, whatever it writes.

        Raises:
            ConfigError: it cannot be made.
        """
        folder = Path(self._arguments.base_folder or f"live/{self.name}").absolute()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"directory {folder}: {error.strerror}; give another with --base-folder") from None
        return str(folder)

    def get_instruments(self) -> list[str]:
        """Ids of the instruments."""
        return [part for part in self._arguments.instruments.split(",") if part]

    def get_logger(self) -> logging.Logger:
        """A logger named after the strategy; at the first call it is given a handler to stderr if it has none."""
        if self._logger is None:
            logger = logging.getLogger(f"tickengine.live.{self.name}")
            logger.setLevel(self._arguments.log_level)
            if not logging.getLogger().handlers and not logger.handlers:
                handler = logging.StreamHandler(sys.stderr)
                handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
                logger.addHandler(handler)
            self._logger = logger
        return self._logger

    def get_account(self) -> Account:
        """The account, read from the configuration file.

        Raises:
            ConfigError: the file or the account cannot be used.
        """
        return load_account(config_path(self._arguments.config), self.account)

    def get_seconds(self) -> float | None:
        """After how many seconds to end; None: when the strategy says so."""
        seconds: float | None = self._arguments.seconds
        return seconds

    def parse_args(self) -> Options:
        """Itself: for programs that expect a parser here."""
        return self


def get_command_line_parser(cls: type[AbstractStrategy], cmd_options: str | Sequence[str] | None = None) -> Options:
    """Read the options of strategy *cls* from a text such as ``"--account paper --name s1 --instruments rb2605"``,
    a list of arguments, or (None) from the command line. Wrong ones end the program with status 2 and a line
    that says what is wrong."""
    doc = (cls.__doc__ or "").strip().splitlines()
    parser = argparse.ArgumentParser(description=doc[0] if doc else cls.__name__, allow_abbrev=False)
    add = parser.add_argument
    add("--account", required=True, help="account in the configuration file")
    add("--name", default=cls.__name__, type=_name, help="name of this run (default: %(default)s)")
    add("--instruments", required=True, type=_instruments, metavar="ID,ID", help="instruments to trade")
    add("--config", metavar="FILE", help="configuration file (default: $TICKENGINE_CONFIG or tickengine.toml)")
    add("--base-folder", metavar="DIR", help="directory for its files (default: live/NAME)")
    add("--seconds", type=_seconds, metavar="N", help="end after so many seconds")
    add(
        "--log-level",
        default="INFO",
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
        help="how much to say (default: %(default)s)",
    )
    arguments = shlex.split(cmd_options) if isinstance(cmd_options, str) else cmd_options
    return Options(parser.parse_args(arguments))


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", text):
        raise argparse.ArgumentTypeError("must be 1 to 40 letters, digits, '.', '_' or '-', a letter or digit first")
    return text


def _instruments(text: str) -> str:
    parts = [part for part in text.split(",") if part]
    if not parts or not all(re.fullmatch(r"[!-~]{1,80}", part) for part in parts):
        raise argparse.ArgumentTypeError("must be ids separated by commas, such as rb2605,IF2512")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError("must be a number of seconds above 0")
    return seconds
