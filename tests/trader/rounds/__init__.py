"""Rounds of orders and faults from a seed: at the end of each the book of record equals the front's.

    PYTHONPATH=tests/trader python -m rounds --seed 1 --round 17

plays one of them again.
"""
