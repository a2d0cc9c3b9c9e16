"""One process an instrument: it takes records from its ring and keeps the book. Imports `shm`, never `engine`."""
