"""What the scripts share: processes, logs, workers, tables."""
