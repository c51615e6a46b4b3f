"""Protocols with names, the scenes they need, and the runs and reports over them."""
