"""The child of `guarded`: opens images and reads windows of them for its parent, over stdin and stdout.

python -m hypersharp.io.reader MEMORY_BYTES
"""

import json
import os
import resource  # which Windows has not, where nobody is asked
import sys
import warnings
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from hypersharp.errors import HypersharpError, InputError, MissingExtraError
from hypersharp.io.format import open_here
from hypersharp.io.guarded import HEAD, PLAIN
from hypersharp.io.image import Image
from hypersharp.products.files import changed, split_part
from hypersharp.stored import Stored

KEPT = 4  # opened images, of which some are held in memory
OPENED = OrderedDict[str, Stored]()


def main() -> None:
    """Answer until the parent is gone."""
    limit_memory(0)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    while len(head := questions.read(HEAD)) == HEAD:
        facts, content = answer(json.loads(questions.read(int.from_bytes(head, "little"))))
        text = json.dumps(facts).encode()
        for part in (text, content):
            answers.write(len(part).to_bytes(HEAD, "little"))
            answers.write(part)
        answers.flush()


def limit_memory(wanted_bytes: int) -> None:
    """Let this process map what its parent says, and four times what is asked of it: its parent has room for that."""
    with suppress(ValueError, OSError):  # less is allowed here already
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]) + 4 * wanted_bytes, hard))


def answer(question: dict[str, Any]) -> tuple[dict[str, Any], bytes | memoryview]:
    """What was asked, with the warnings that it took, or the error."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            facts, content = found(question)
        except Exception as error:
            path = question["image"]["path"]
            what = f"{path} unreadable ({type(error).__name__}: {str(error)[:120]})"
            told: HypersharpError = InputError(what, "a whole file", "check that the file is whole")
            if isinstance(error, HypersharpError):
                told = error
            elif isinstance(error, MemoryError):
                told = InputError(f"{path} too large for memory", "a smaller one", "read a window")
            parts = [told.found, told.expected, told.do]
            if isinstance(told, MissingExtraError):  # which words feature and extra itself
                parts = [told.found.removeprefix("no library for "), told.expected[27:-1]]
            facts, content = {"error": [type(told).__name__, parts]}, b""
    own = [str(one.message) for one in said if one.category is UserWarning and "hypersharp" in one.filename]
    return facts | {"warnings": list(dict.fromkeys(own))}, content


def found(question: dict[str, Any]) -> tuple[dict[str, Any], bytes | memoryview]:
    """The facts of an image, or numbers of it."""
    stored = opened(question["image"])
    if question["what"] == "open":
        return facts_of(stored), b""
    if question["what"] == "overviews":
        return {"found": stored.pixels.has_overviews()}, b""
    pixels = getattr(stored, question["name"])
    top, bottom, left, right = question["spans"]
    rows, columns, bands = slice(top, bottom), slice(left, right), question["bands"]
    limit_memory(len(bands) * (bottom - top) * (right - left) * np.dtype(pixels.dtype).itemsize)
    if question["shape_yx"]:
        values = pixels.coarse(bands, rows, columns, tuple(question["shape_yx"]))
    else:
        values = pixels[bands, rows, columns]
    values = np.ascontiguousarray(values, np.asarray(values).dtype.newbyteorder("="))
    return {"dtype": values.dtype.str, "shape": list(values.shape)}, values.reshape(-1).view("u1").data


def opened(fields: dict[str, Any]) -> Stored:
    """An image, kept open for the next question until the file changes."""
    shape, path = fields["shape_yx"], Path(fields["path"])
    image = Image(path, fields["variable"], fields["layout"], shape_yx=shape and tuple(shape))
    real = split_part(path)[0]
    key = json.dumps([fields, changed(real) if real.exists() else 0])
    if key not in OPENED:
        OPENED[key] = open_here(image)
    OPENED.move_to_end(key)
    while len(OPENED) > KEPT:
        OPENED.popitem(last=False)
    return OPENED[key]


def facts_of(stored: Stored) -> dict[str, Any]:
    """All but the pixels, as JSON can hold it."""
    facts: dict[str, Any] = {name: plain(getattr(stored, name)) for name in PLAIN}
    facts["transform"] = None if stored.transform is None else [float(number) for number in stored.transform[:6]]
    facts |= {"applied": list(stored.applied), "reasons": [] if stored.flags is None else list(stored.flags.reasons)}
    for name in ("pixels", "valid", "flags", "lonlat"):
        pixels = getattr(stored, name)
        facts[name] = None
        if pixels is not None:
            shape, dtype = [int(side) for side in pixels.shape], np.dtype(pixels.dtype).newbyteorder("=").str
            facts[name] = {"shape": shape, "dtype": dtype, "coarse": hasattr(pixels, "coarse")}
    return facts


def plain(value: Any) -> Any:
    """A value as JSON has it: lists for arrays, WKT for a CRS."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "to_wkt"):
        return value.to_wkt()
    return np.asarray(value).tolist()


if __name__ == "__main__":
    main()
