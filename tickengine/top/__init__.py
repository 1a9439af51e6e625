"""``tickengine top``: a live look at a running engine from outside.

`snapshot` reads the numbers out of the log, `view` is what the keys have chosen, `frame` and `tables` lay both out as
lines for a width and a height, `screen` and `keys` are the terminal, `command` puts them together.
"""
