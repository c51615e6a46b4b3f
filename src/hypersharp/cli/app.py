"""The app that the verbs join, and the way out: a wrong call exits 2, a wrong input 1 with one line on stderr.

--debug shows the traceback.
"""

import errno
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal, NoReturn

import typer

from hypersharp.cli.shown import say
from hypersharp.cli.wrong_call import WrongCall, in_our_words
from hypersharp.errors import HypersharpError, Stopped, in_a_line
from hypersharp.system.deterministic import be_deterministic
from hypersharp.system.memory import keep_memory

app = typer.Typer(
    help="Sharpen a hyperspectral image with the multispectral, RGB or panchromatic image of the same place.",
    epilog="First time here? `hypersharp demo` runs the whole thing on a real scene.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


REFUSED = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EROFS)  # of paths: no fault of ours
PATIENCE_S = 5.0  # with threads of others, once a signal has ended the command
DETERMINISTIC = "The same bits on any number of processors: one thread, float32; slower."
GUARD = "Formats that a process of its own opens, with limits: those that can hang (risky), all, none. Default: risky."


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    if arguments is None and sys.getfilesystemencoding() != "utf-8":
        with suppress(OSError):  # begin again with names of files in UTF-8: GDAL and HDF5 know no other
            typed = Path("/proc/self/cmdline").read_bytes().split(b"\0")[1:-1]
            os.execv(sys.executable, [sys.executable.encode(), b"-X", b"utf8", *typed])
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    if "--deterministic" in words:
        be_deterministic()  # before numpy and torch begin
    words = [word for word in words if word not in ("--debug", "--deterministic")]
    keep_memory()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads wait long for each other on a busy machine
    stop_on_signals()
    try:
        with one_line_warnings(debug), guarded():
            code = app(words, prog_name="hypersharp", obj=words, standalone_mode=False)
    except Stopped as stop:
        kept = "; ".join(getattr(stop, "__notes__", ["nothing is left half-written, what stood there is as it was"]))
        print(f"stopped: {kept}", file=sys.stderr)  # noqa: T201
        wait_for_nobody(128 + stop.number)
        sys.exit(128 + stop.number)
    except WrongCall as wrong:
        if type(wrong).__name__ == "NoArgsIsHelpError":  # its help is shown by now
            sys.exit(2)
        fail(str(in_our_words(wrong, words)), 2, debug)
    except HypersharpError as exc:
        fail(str(exc), exc.exit_code, debug)
    except MemoryError:
        fail("found too little memory, expected enough for the image, do: try --mode tiles", 1, debug)
    except Exception as exc:  # a fault of ours: still one line, and how to see more
        if isinstance(exc, OSError) and exc.errno in REFUSED:
            refused = f"found {in_a_line(str(exc.filename))[-120:]}, which the system refuses ({exc.strerror})"
            fail(f"{refused}, expected a path that can be used, do: choose a shorter name, or another folder", 1, debug)
        do = "report it with the output of the same command and --debug"
        fail(f"found a fault in hypersharp ({type(exc).__name__}: {exc}), expected none, do: {do}", 1, debug)
    sys.exit(code if isinstance(code, int) else 0)


def stop_on_signals() -> None:
    """Ctrl+C and SIGTERM, of a batch system or `kill`, alike: what is open is cleaned up, then one line."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        Stopped.told = number
        raise Stopped(number)

    Stopped.told = None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)


def wait_for_nobody(code: int) -> None:
    """Let the process end a little after its main thread, whatever other threads wait for.

    A signal can catch a library that is beginning a thread, of which it then knows nothing and which it never ends.
    """

    def leave() -> None:
        threading.main_thread().join()
        time.sleep(PATIENCE_S)
        sys.stdout.flush()
        os._exit(code)

    threading.Thread(target=leave, daemon=True).start()


@contextmanager
def guarded() -> Iterator[None]:
    """Formats that may hang or crash are opened in a child process, unless the environment says otherwise."""
    said = os.environ.get("HYPERSHARP_GUARD")
    os.environ["HYPERSHARP_GUARD"] = said or "risky"
    try:
        yield
    finally:
        os.environ.pop("HYPERSHARP_GUARD", None)
        if said is not None:
            os.environ["HYPERSHARP_GUARD"] = said


def fail(message: str, code: int, debug: bool) -> NoReturn:
    """One line on stderr (after the traceback, if asked for) and out."""
    if debug:
        import traceback

        traceback.print_exc()
    print("error: " + " ".join(message.split()), file=sys.stderr)  # noqa: T201
    sys.exit(code)


@contextmanager
def one_line_warnings(debug: bool) -> Iterator[None]:
    """Our own warnings as `warning: ...` on stderr, each once; foreign ones only under --debug."""
    shown = set[str]()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        text = " ".join(str(message).split())
        if text not in shown:
            print(f"warning: {text}", file=sys.stderr)  # noqa: T201
        shown.add(text)

    with warnings.catch_warnings():
        warnings.simplefilter("default" if debug else "ignore")
        warnings.filterwarnings("always", module=r"hypersharp\.")
        warnings.showwarning = show
        yield


def show_version(wanted: bool) -> None:
    if wanted:
        from hypersharp import __version__

        say(__version__)
        raise typer.Exit


@app.callback()
def options(
    _debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    _deterministic: Annotated[bool, typer.Option("--deterministic", help=DETERMINISTIC)] = False,
    guard: Annotated[Literal["none", "risky", "all"] | None, typer.Option(help=GUARD)] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Options of every verb; `main` sees to --debug and --deterministic wherever they stand."""
    if guard is not None:
        os.environ["HYPERSHARP_GUARD"] = guard
