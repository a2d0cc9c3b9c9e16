"""The process above all others of an engine: it makes the memory, starts and restarts the rest, touches no data."""
