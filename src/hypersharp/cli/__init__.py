"""The command line: one verb a function, each checks its call, opens files, calls the package, prints a summary.

`hypersharp --help` answers at once because torch, xarray and everything on them is imported by the verb that
needs it. Importing a file of verbs is what adds them to the app.
"""

from hypersharp.cli import batch, doctor, fuse, judge, learn, lists, report, view
from hypersharp.cli.app import app, main

__all__ = ["app", "batch", "doctor", "fuse", "judge", "learn", "lists", "main", "report", "view"]

PANELS = ["The main job", "Scores", "Training and benchmarks", "What there is"]
app.registered_commands.sort(key=lambda command: PANELS.index(str(command.rich_help_panel)))  # as the help lists them
