"""What lies in a segment, a file of bars or a journal, in words, and whether all is as it must be.

One file a kind; each gives titled groups of (name, value), and checks. A living writer is not disturbed: everything is
mapped read-only, and each check of what is written to says only what must hold at any moment.
"""
