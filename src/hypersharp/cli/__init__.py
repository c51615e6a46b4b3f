"""The command line: one verb a function, each checks its call, opens files, calls the package, prints a summary.

`hypersharp --help` answers at once because torch, xarray and everything on them is imported by the verb that
needs it. Importing a file of verbs is what adds them to the app; their order is that of the help.
"""

from hypersharp.cli import export, fuse, judge, learn, lists, report, view
from hypersharp.cli.app import app, main

__all__ = ["app", "export", "fuse", "judge", "learn", "lists", "main", "report", "view"]
