"""The I/O process: it owns every socket and every secret, and puts raw venue messages into the rings of `shm`."""
