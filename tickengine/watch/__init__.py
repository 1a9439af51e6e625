"""Looking at a feed from outside the data's way: metrics, health, service managers, logs for machines."""
