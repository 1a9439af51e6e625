"""The trading side: orders, returns and positions of one account, kept through every cut and crash."""
