"""Everything hypersharp raises on purpose; each error says found, expected, what to do.

The command line prints one as `error: found ..., expected ..., do ...` and exits 1 (a wrong
input) or 2 (a wrong call).
"""

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import ClassVar

MOST_SAID = 400  # letters of a part of a message: other libraries' go on for pages


def in_a_line(text: str) -> str:
    r"""A text without line breaks, cut where it is long.

    >>> in_a_line("one\n  two"), len(in_a_line("long" * 1000))
    ('one two', 400)
    """
    line = " ".join(text.split())
    return line if len(line) <= MOST_SAID else f"{line[: MOST_SAID - 3]}..."


def first_line(error: BaseException) -> str:
    """What another library says in its first line; the kind of error where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class HypersharpError(Exception):
    """The root of the tree: what was found, what was expected, what to do about it.

    Attributes:
        found, expected, do: the three parts of the message.
        exit_code: what the command line exits with, 1 for a wrong input, 2 for a wrong call.

    >>> print(InputError("no file a.tif", "an existing image", "check the path"))
    found no file a.tif, expected an existing image, do: check the path
    """

    exit_code = 1

    def __init__(self, found: str, expected: str, do: str) -> None:
        found, expected, do = (in_a_line(part) for part in (found, expected, do))
        super().__init__(found, expected, do)
        self.found, self.expected, self.do = found, expected, do

    def __str__(self) -> str:
        return f"found {self.found}, expected {self.expected}, do: {self.do}"


class InputError(HypersharpError):
    """A file or an array that cannot be used as it is."""


class OutputError(HypersharpError):
    """A result that cannot be written; what stood there before is untouched."""


class CallError(HypersharpError):
    """Options that contradict each other or are malformed."""

    exit_code = 2


class Stopped(BaseException):
    """The command line was told to end, by Ctrl+C or by the system; its notes say what is kept and how to go on.

    Attributes:
        number: of the signal.
        told: of the signal that was heard, if any, also where code of others swallowed what it raised.
    """

    told: ClassVar[int | None] = None

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @classmethod
    def heed(cls) -> None:
        """Raise it again where a signal was heard and the command goes on: to be called now and then."""
        if cls.told is not None:
            raise cls(cls.told)


@contextmanager
def noted_on_stop(note: Callable[[], str]) -> Iterator[None]:
    """Add what is kept, if anything, to a `Stopped` or KeyboardInterrupt that ends the block."""
    try:
        yield
    except (KeyboardInterrupt, Stopped) as stop:
        if text := note():
            stop.add_note(text)
        raise


class MissingExtraError(HypersharpError):
    """A feature whose optional dependency is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"no library for {feature}",
            f"the optional dependencies [{extra}]",
            f"pip install 'hypersharp[{extra}]', or pip install -e '.[{extra}]' in a clone",
        )


@contextmanager
def needs(feature: str, extra: str = "geo") -> Iterator[None]:
    """Around the imports of optional libraries: a missing one is answered with the command that installs it."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(feature, extra) from error


def installed(library: str) -> bool:
    """Whether an optional library is there, for what is done without it otherwise."""
    return find_spec(library) is not None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is in no table; offers the nearest ones."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else "choose one of these"
    return InputError(f"{kind} '{name}'", f"one of {', '.join(names)}", hint)


def check_name(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise an InputError, with the nearest names, for a name that is not known."""
    if name not in known:
        raise unknown_name(kind, name, known)
