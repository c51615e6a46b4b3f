"""What typer says of a wrong call, in our form: one line with what was found, what was expected, what to do."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from hypersharp.errors import CallError, unknown_name

WrongCall: Any = typer.BadParameter.__base__  # UsageError, of click or of the copy that newer versions of typer hold


def in_our_words(wrong: Any, words: Sequence[str]) -> CallError:
    """The error for what typer raised of a call of these words.

    >>> print(in_our_words(WrongCall("Option '-o' requires an argument."), ["fuse", "a.tif", "b.tif", "-o"]))
    found -o without a value, expected one behind it, do: add it; see `hypersharp fuse -h`
    """
    first = next((word for word in words if not word.startswith("-")), "")
    verb = f"hypersharp {first}".rstrip() if wrong.ctx is None else wrong.ctx.command_path
    see, kind, message = f"see `{verb} -h`", type(wrong).__name__, str(wrong.message).removeprefix("Value error, ")
    named, param = re.findall(r"'([^']*)'", message), getattr(wrong, "param", None)
    if kind == "MissingParameter" and param is not None:
        name = name_of(param)
        return CallError(
            f"`{verb}` without {name}", f"{name}: {getattr(param, 'help', '')}".rstrip("."), f"add it; {see}"
        )
    if kind == "NoSuchOption":
        near = " or ".join(wrong.possibilities or ())  # the nearest first
        hint = f"did you mean {near}? {see}" if near else see
        return CallError(f"the option {wrong.option_name}", f"one that `{verb}` has", hint)
    if param is not None:
        return wrong_value(name_of(param), value_of(param, words), message, see)
    if message.startswith("No such command"):
        return unknown("the verb", named[0], wrong.ctx.command.commands)
    if extra := re.search(r"unexpected extra arguments? ?(?:\(s\) )?\((.*)\)", message):
        form = re.sub(r"[{}]", "", wrong.ctx.get_usage().removeprefix("Usage: ")).replace(verb, "")
        found = f"more words than `{verb}` takes: {extra[1]}"
        return CallError(found, form.upper(), "leave them out, or put a path with spaces in quotes")
    if message.endswith("requires an argument."):
        return CallError(f"{named[0]} without a value", "one behind it", f"add it; {see}")
    if message.endswith("does not take a value."):
        return CallError(f"{named[0]} with a value", "none", f"leave it out; {see}")
    return CallError(f"a call that cannot be read ({message.rstrip('.')})", f"one of the form of `{verb} -h`", see)


def wrong_value(name: str, value: str, message: str, see: str) -> CallError:
    """The error for a value that an option or argument does not take."""
    chosen, _, choices = message.partition(" is not one of ")
    if choices:
        return unknown(name, chosen.strip("'"), re.findall(r"'([^']*)'", choices))
    expected = message.removeprefix("Input should be ").partition(",")[0].rstrip(".")
    number = "a number " if expected.startswith(("greater", "less")) else ""
    return CallError(f"{name} {value}".strip(), number + expected.replace("a valid integer", "a whole number"), see)


def unknown(kind: str, name: str, known: Iterable[str]) -> CallError:
    """The error for a name that is none of those known, with the nearest."""
    error = unknown_name(kind, name, known)
    return CallError(error.found, error.expected, error.do)


def name_of(param: Any) -> str:
    """An option by its long name; an argument as its verb's help writes it."""
    longest: str = max(param.opts, key=len)
    return longest if longest.startswith("-") else longest.upper()


def value_of(param: Any, words: Sequence[str]) -> str:
    """What the words give an option last; empty where they do not tell."""
    given = ""
    for number, word in enumerate(words):
        option, equals, value = word.partition("=")
        if word in param.opts:
            given = words[number + 1] if number + 1 < len(words) else ""
        elif equals and option in param.opts:
            given = value
    return given
