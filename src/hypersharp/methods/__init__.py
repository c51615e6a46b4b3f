"""The fusion methods: the table of them (`METHODS`) and the main job (`fuse`)."""

from hypersharp.methods.fuse import METHODS, find_method, fuse

__all__ = ["METHODS", "find_method", "fuse"]
