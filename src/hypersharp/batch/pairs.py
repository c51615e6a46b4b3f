"""Which pairs a batch has: the lines of a CSV file, or folders with an `hs` and an `ms` each."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hypersharp.errors import InputError, unknown_name
from hypersharp.io.format import BY_SUFFIX, ENVI, FOLDER
from hypersharp.system.read_errors import READ_ERRORS, reading

COLUMNS = ("name", "hs", "ms", "mask", "hs_mask", "sensors")
EXPECTED = "a CSV file with a heading hs,ms and a line for each pair"
SAFE_NAME = re.compile(r"[^./\\\0][^/\\\0]{0,199}")


@dataclass(frozen=True)
class PairFiles:
    """A pair's files and its name, which is that of its result; pairs with one word for `sensors` share theirs."""

    name: str
    hs: Path
    ms: Path
    mask: Path | None = None
    hs_mask: Path | None = None
    sensors: str | None = None

    @property
    def files(self) -> tuple[Path | None, ...]:
        return self.hs, self.ms, self.mask, self.hs_mask


def find_pairs(given: Sequence[Path], mask: Path | None = None, hs_mask: Path | None = None) -> list[PairFiles]:
    """The pairs of CSV files and folders; a pattern such as scenes/* that no shell has resolved is resolved here.

    mask, hs_mask: of the pairs that have none of their own.

    Raises: InputError for a file or folder that names no pair, and for two pairs of one name.
    """
    places = list[Path]()
    for path in given:
        if path.exists() or not re.search(r"[*?\[]", str(path)):
            places.append(path)
        else:
            base = Path(path.anchor)
            places += [folder for folder in sorted(base.glob(str(path.relative_to(base)))) if folder.is_dir()]
    found = [pair for place in places for pair in pairs_of(place)]
    if not found:
        raise InputError(f"no pair in {', '.join(map(str, given))}", EXPECTED, "add a line or a folder")
    counted = Counter(pair.name for pair in found)
    if twice := [name for name, count in counted.items() if count > 1]:
        raise InputError(f"{counted[twice[0]]} pairs named {twice[0]}", "a name for each", "add a column name")
    return [replace(pair, mask=pair.mask or mask, hs_mask=pair.hs_mask or hs_mask) for pair in found]


def pairs_of(path: Path) -> Iterator[PairFiles]:
    """The pairs of a CSV file, or the one of a folder."""
    if path.is_dir():
        yield PairFiles(path.resolve().name, image_in(path, "hs"), image_in(path, "ms"))
        return
    if path.suffix.lower() in BY_SUFFIX and path.suffix:
        raise InputError(f"the image {path}", f"{EXPECTED}, or folders", "for one pair use `hypersharp fuse`")
    lines = list(lines_of(path))
    stems = Counter(Path(line["hs"]).stem for _, line in lines)
    for number, line in lines:
        named = (line.get(column) for column in ("hs", "ms", "mask", "hs_mask"))
        hs, ms, mask, hs_mask = (path.parent / Path(file).expanduser() if file else None for file in named)
        assert hs is not None and ms is not None
        name = line.get("name") or (hs.stem if stems[hs.stem] == 1 else f"{hs.parent.name}-{hs.stem}")
        sensors = line.get("sensors") or None
        for what, word in (("name", name), ("sensors", sensors)):
            if word is not None and not SAFE_NAME.fullmatch(word):
                found = f"the {what} '{word[:40]}' in line {number} of {path}"
                raise InputError(found, "a name that a file may have", "leave out slashes and a dot at its beginning")
        yield PairFiles(name, hs, ms, mask, hs_mask, sensors)


def lines_of(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a CSV file that are not empty, with their number, by the names of the columns."""
    with reading(path, EXPECTED, *READ_ERRORS):
        text = path.read_text(encoding="utf-8-sig")
    heading = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text), delimiter=";" if heading.count(";") > heading.count(",") else ",")
    names = [cell.strip().lower() for cell in next(rows, [])]
    for name in names:
        if name and name not in COLUMNS:
            raise unknown_name(f"column of {path}", name, COLUMNS)
    if not {"hs", "ms"} <= set(names):
        raise InputError(f"{path} with the heading '{heading.strip()[:60]}'", EXPECTED, "name the columns")
    for row in rows:
        line = {name: cell.strip() for name, cell in zip(names, row, strict=False) if name}
        if not any(line.values()):
            continue
        if not (line.get("hs") and line.get("ms")):
            raise InputError(f"line {rows.line_num} of {path} without hs or ms", "both files", "complete the line")
        yield rows.line_num, line


def image_in(folder: Path, name: str) -> Path:
    """The one image of a name in a folder, whatever its format. Raises: InputError."""
    named = [entry for entry in folder.iterdir() if entry.name.split(".")[0].lower() == name]
    images = [
        entry for entry in named if (BY_SUFFIX.get(entry.suffix.lower()) or FOLDER) is not FOLDER or entry.is_dir()
    ]
    written = [entry for entry in images if entry.is_dir() or BY_SUFFIX[entry.suffix.lower()].written]
    images = written or images
    bodies = [entry for entry in images if entry.suffix.lower() != ENVI.suffixes[0]]
    images = bodies or images
    if len(images) != 1:
        names = ", ".join(sorted(entry.name for entry in images)) or "none"
        raise InputError(f"{names} for {name} in {folder}", f"one image {name}.tif, {name}.nc, ...", "rename or remove")
    return images[0]
