"""Ways to damage a file: bits, bytes, lengths, numbers, brackets, order."""

import random
import re
from collections.abc import Callable

WORDS = (b"", b"-1", b"0", b"1e999", b"nan", b"-inf", b"9" * 400, b"1e-320", b"null", b"true", b"[]", b"{}", b'"x"')
OTHERS = (b"../../secret/a.tif", b"../secret/a.tif", b"/etc/passwd", b"secret/a.h5")  # which nothing may read
NOISE = (b"[" * 100_000, b"{" * 3000, b"\0", b"\xff\xfe", b"\n", b"=", b'"', b"}", b"../../etc", b": &a [*a]")
LENGTHS = (b"\xff", b"\0", b"\x7f")
Mutation = Callable[[random.Random, bytes], bytes]


def damaged(rng: random.Random, content: bytes, *, text: bool) -> bytes:
    """The content with one to three things wrong with it."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = rng.choice(TEXT if text else BINARY)(rng, content) or b"0"
    return content


def place(rng: random.Random, content: bytes) -> int:
    """Somewhere in the content, more often near its front, where headers lie."""
    return rng.randrange(min(len(content), rng.choice((64, 512, 4096, len(content), len(content)))))


def flip(rng: random.Random, content: bytes) -> bytes:
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 16))):
        made[place(rng, content)] ^= 1 << rng.randrange(8)
    return bytes(made)


def overwrite(rng: random.Random, content: bytes) -> bytes:
    """A number of 2, 4 or 8 bytes replaced by an extreme one."""
    at, width = place(rng, content), rng.choice((2, 4, 8))
    extreme = rng.choice(
        (*(fill * width for fill in LENGTHS), (65_535).to_bytes(width, "little"), rng.randbytes(width))
    )
    return content[:at] + extreme + content[at + width :]


def cut(rng: random.Random, content: bytes) -> bytes:
    return content[: place(rng, content)]


def splice(rng: random.Random, content: bytes) -> bytes:
    """A stretch of the content copied to another place, over what is there or between."""
    start, at, length = place(rng, content), place(rng, content), rng.choice((1, 4, 16, 128))
    return content[:at] + content[start : start + length] + content[at + rng.choice((0, length)) :]


def renumber(rng: random.Random, content: bytes) -> bytes:
    """A number in a text replaced."""
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?(e-?\d+)?", content[:100_000]))
    if not numbers:
        return insert(rng, content)
    found = rng.choice(numbers)
    return content[: found.start()] + rng.choice(WORDS) + content[found.end() :]


def insert(rng: random.Random, content: bytes) -> bytes:
    at = place(rng, content)
    return content[:at] + rng.choice(NOISE + OTHERS) + content[at:]


def shuffle(rng: random.Random, content: bytes) -> bytes:
    """A line left out, or repeated elsewhere."""
    lines = content.split(b"\n")
    line = lines.pop(rng.randrange(len(lines)))
    if rng.random() < 0.5:
        lines[rng.randrange(len(lines) + 1) : 0] = [line, line]
    return b"\n".join(lines)


BINARY: tuple[Mutation, ...] = (flip, flip, overwrite, overwrite, cut, splice)
TEXT: tuple[Mutation, ...] = (renumber, renumber, insert, shuffle, cut, splice, flip)
