"""Bars that the venue made: asked for in pages, checked, and stitched to those that our workers made.

`planning`, `page`, `stitching` and `rolls` decide on values; `fetching` and `continuous` ask; `command` is the rim.
"""
