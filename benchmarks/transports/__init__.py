"""Ways from a writer process to worker processes, one file for each family."""
