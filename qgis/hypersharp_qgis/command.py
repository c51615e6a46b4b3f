"""The `hypersharp` command: where it is, how it is called, followed and ended. Standard library only."""

import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

# what QGIS sets for its own Python and libraries, and another Python must not see
OF_QGIS = ("PYTHONHOME", "PYTHONPATH", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB", "PROJ_DATA", "QT_PLUGIN_PATH")
PROGRESS = re.compile(r"progress ([01]\.\d+) (.*)")
EVERY_S = 0.1
GRACE_S = 10.0  # for cleaning up, once it was told to end
LEAST_PYTHON = (3, 11)
WINDOWS = os.name == "nt"


class Failed(Exception):
    """The command ended with an error; its words are those of the command."""


class Cancelled(Exception):
    """The user cancelled."""


def find_command(stored=""):
    """The command: the one that was set up, HYPERSHARP_COMMAND, or the one on the PATH; None where there is none."""
    for path in (stored, os.environ.get("HYPERSHARP_COMMAND", "")):
        if path and Path(path).is_file():
            return str(path)
    return shutil.which("hypersharp")


def environment():
    """The environment of the command: that of QGIS, but for what belongs to QGIS's own Python."""
    kept = {name: value for name, value in os.environ.items() if name not in OF_QGIS}
    return {**kept, "HYPERSHARP_PROGRESS": "lines", "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}


def run(words, on_line=print, on_progress=lambda fraction, what: None, is_cancelled=lambda: False):
    """Run a command to its end; its standard output.

    on_line hears each line of both outputs, on_progress the fraction done of each step.

    Raises: Failed with the command's own error; Cancelled, when it has ended.
    """
    hidden = {"creationflags": subprocess.CREATE_NO_WINDOW} if WINDOWS else {}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    text = {"encoding": "utf-8", "errors": "replace"}
    try:
        process = subprocess.Popen([str(word) for word in words], env=environment(), **pipes, **text, **hidden)
    except OSError as error:
        raise Failed(f"{words[0]} cannot be started ({error.strerror}): run the algorithm 'Set up'") from error
    said, error = [], ""
    for name, line in lines_of(process, is_cancelled):
        step = PROGRESS.fullmatch(line)
        if step:
            on_progress(float(step[1]), step[2])
            continue
        if line.startswith("error: "):
            error = line[len("error: ") :]
        elif name == "stdout":
            said.append(line)
        on_line(line)
    if process.wait():
        raise Failed(error or f"{Path(words[0]).name} ended with code {process.returncode}")
    return "\n".join(said)


def lines_of(process, is_cancelled):
    """Each line that a process writes, with the name of its pipe. Raises: Cancelled, when it has ended."""
    lines, names = queue.Queue(), ("stdout", "stderr")
    for name in names:
        threading.Thread(target=read, args=(getattr(process, name), name, lines), daemon=True).start()
    still = len(names)
    while still:
        if is_cancelled():
            end(process)
            raise Cancelled("cancelled")
        try:
            name, line = lines.get(timeout=EVERY_S)
        except queue.Empty:
            continue
        if line is None:
            still -= 1
        else:
            yield name, line


def read(pipe, name, lines):
    """Hand on each line of a pipe, None at its end."""
    with pipe:
        for line in pipe:
            lines.put((name, line.rstrip("\r\n")))
    lines.put((name, None))


def end(process):
    """Tell it to end, which lets it clean up, and see to it."""
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def version_of(command):
    """The version that a command tells. Raises: Failed where it is no hypersharp."""
    said = run([command, "--version"], on_line=lambda line: None).strip()
    if not re.match(r"\d+\.\d+", said):
        raise Failed(f"{command} is no hypersharp: it said '{said[:60]}'")
    return said


def methods_of(command):
    """The names of a command's methods, as `hypersharp methods` lists them under a heading."""
    said = run([command, "methods"], on_line=lambda line: None)
    return [line.split()[0] for line in said.splitlines()[1:] if line[:1].strip()]


def find_python():
    """A Python that hypersharp runs with, newest first; None where there is none."""
    names = [f"python3.{minor}" for minor in (14, 13, 12, 11)] + ["python3", "python"]
    beside = Path(sys.prefix) / ("python.exe" if WINDOWS else "bin/python3")  # QGIS's own, on Windows and macOS
    for python in [*filter(None, map(shutil.which, names)), str(beside)]:
        try:
            said = run([python, "-c", "import sys, venv; print(*sys.version_info[:2])"], on_line=lambda line: None)
        except Failed:
            continue
        if tuple(map(int, said.split())) >= LEAST_PYTHON:
            return python
    return None


def make_environment(folder, package="hypersharp[geo,report]", python=None, **followed):
    """Make a virtual environment with hypersharp in it; the command there.

    Raises: Failed where there is no Python for it, or pip fails.
    """
    python = python or find_python()
    if python is None:
        raise Failed("no Python 3.11 or newer was found: install one, or give its path")
    run([python, "-m", "venv", folder], **followed)
    scripts, suffix = (Path(folder) / "Scripts", ".exe") if WINDOWS else (Path(folder) / "bin", "")
    pip = [scripts / f"python{suffix}", "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    run([*pip, *package.split(" ")], **followed)
    return str(scripts / f"hypersharp{suffix}")
