"""The recorder: what came in becomes journal files, and whatever the disk does is counted and marked."""
