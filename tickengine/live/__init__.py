"""A small strategy layer: ticks and order events in one loop, orders by target position.

::

    class Mine(AbstractStrategy):
        def on_tick(self, instrument_id, tick): ...

    options = get_command_line_parser(Mine, "--account paper --name mine --instruments rb2605")
    run_live(Mine, {}, options=options)
"""

from ..bars import Bar
from .options import Options, get_command_line_parser
from .runner import run_live
from .strategy import AbstractStrategy

__all__ = ["AbstractStrategy", "Bar", "Options", "get_command_line_parser", "run_live"]
