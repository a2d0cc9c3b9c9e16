"""A process for an instrument, or for some: it takes records from the ring and keeps the book. Imports `shm` alone."""
