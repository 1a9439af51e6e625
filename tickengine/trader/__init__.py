"""The trading side: what was sent and what came back, in one journal per account."""
