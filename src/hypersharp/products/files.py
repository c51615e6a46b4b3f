"""The files of a product: in a folder, in an archive, or beside the one that was named."""

from __future__ import annotations

import os
import re
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from hypersharp.errors import InputError
from hypersharp.system.elsewhere import fetched, name_elsewhere
from hypersharp.system.read_errors import READ_ERRORS, check_regular, reading

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ARCHIVES = {".zip": "/vsizip/", ".tar": "/vsitar/"}
MOST_FILES, MOST_FOLDERS_DEEP = 20_000, 6
MOST_BYTES = 2**26  # of a file of metadata
BODIES = (".img", ".dat", ".bsq", ".bil", ".bip", ".raw", "")  # of an ENVI header
BESIDE = (".hdr", ".HDR", ".msk", ".wld")  # of an image, what else is read of it, beside its world file and PAM file
PAM = ".aux.xml"  # in which GDAL keeps what it was told of an image, and statistics that it has found
FOUND = re.compile(r"<Histograms>.*?</Histograms>|<MDI key=.STATISTICS_[^<]*</MDI>", re.S)  # by those who look at it
EMPTY = re.compile(r"<(\w+)[^<>]*>\s*</\1>")


@dataclass(frozen=True)
class Files:
    """The files in `root`, a folder or an archive: `names` relative to it; `named`: the one that was given, if any."""

    root: Path
    names: tuple[str, ...]
    named: str | None = None

    @classmethod
    def around(cls, path: Path) -> Files:
        """The files of a folder or an archive, else the file itself and those beside it."""
        if name_elsewhere(path) is not None:
            return cls(path.parent, (path.name,), path.name)
        if path.is_dir():
            return cls(path, tuple(islice(_inside(path), MOST_FILES)))
        if path.suffix.lower() == ".zip":
            with reading(path, "a whole archive", *READ_ERRORS), zipfile.ZipFile(path) as packed:
                return cls(path, tuple(sorted(name for name in packed.namelist() if not name.endswith("/"))))
        if path.suffix.lower() in ARCHIVES:
            with reading(path, "a whole archive", tarfile.TarError, *READ_ERRORS), tarfile.open(path) as tar:
                return cls(path, tuple(sorted(one.name for one in islice(tar, MOST_FILES) if one.isfile())))
        with reading(path, "a readable folder", OSError):
            beside = sorted(entry.name for entry in os.scandir(path.parent) if entry.is_file())
        return cls(path.parent, tuple(beside), path.name)

    @property
    def path(self) -> Path:
        """What the user named."""
        return self.root / self.named if self.named else self.root

    def all(self, pattern: str) -> list[str]:
        """The names that fit a pattern such as `*_B04.jp2`, whatever their case, without folders."""
        low = pattern.lower()
        return [name for name in self.names if fnmatch(name.rpartition("/")[2].lower(), low)]

    def first(self, *patterns: str) -> str | None:
        """The first name that fits one of the patterns."""
        return next((name for pattern in patterns for name in self.all(pattern)), None)

    def one(self, pattern: str, what: str) -> str:
        """The one name that fits. Raises: InputError for none or several."""
        found = self.all(pattern)
        if len(found) == 1:
            return found[0]
        if not found:
            raise InputError(f"no {pattern} in {self.root}", f"a whole {what}", "download the product again")
        do = "name the one that is meant"
        raise InputError(f"{len(found)} of {what} in {self.root} ({', '.join(found[:3])})", "one", do)

    def gdal(self, name: str) -> str:
        """The name by which GDAL opens a file."""
        prefix = ARCHIVES.get(self.root.suffix.lower())
        return str(self.root / name) if self.root.is_dir() or prefix is None else f"{prefix}{{{self.root}}}/{name}"

    def bytes(self, name: str) -> bytes:
        """The content of a small file."""
        with reading(self.root / name, "a whole file", tarfile.TarError, *READ_ERRORS):
            if name_elsewhere(self.root) is not None:
                content = fetched(self.root / name, MOST_BYTES)
            elif self.root.is_dir():
                check_regular(self.root / name)
                with (self.root / name).open("rb") as plain:
                    content = plain.read(MOST_BYTES + 1)
            elif self.root.suffix.lower() == ".zip":
                with zipfile.ZipFile(self.root) as archive, archive.open(name) as packed:
                    content = packed.read(MOST_BYTES + 1)
            else:
                with tarfile.open(self.root) as tar:
                    member = tar.extractfile(name)
                    assert member is not None
                    content = member.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:  # a small archive may hold gigabytes of zeros
            raise InputError(f"{self.root / name} of more than {MOST_BYTES >> 20} MiB", "metadata", "check the product")
        return content

    def text(self, name: str) -> str:
        return self.bytes(name).decode("utf-8", "replace")

    def xml(self, name: str) -> Xml:
        """The root of an XML document."""
        from xml.etree import ElementTree

        content = self.bytes(name)
        with reading(self.root / name, "a whole XML file", *READ_ERRORS):
            return Xml(self.root / name, ElementTree.fromstring(content))


@dataclass(frozen=True)
class Xml:
    """An XML document of which things are expected."""

    path: Path
    root: Element

    def all(self, tag: str) -> list[Element]:
        """All elements of a tag, or a path of tags, in any namespace."""
        return self.root.findall(".//" + "/".join(f"{{*}}{part}" for part in tag.split("/")))

    def text(self, tag: str, default: str | None = None) -> str:
        """The text of the first one. Raises: InputError where there is none and no default."""
        found = next((element.text.strip() for element in self.all(tag) if element.text), default)
        if found is None:
            raise InputError(f"no {tag} in {self.path}", "whole metadata", "download the product again")
        return found

    def numbers(self, tag: str) -> list[float]:
        """The number in each element of a tag."""
        with self.expected():
            return [float(element.text or "") for element in self.all(tag)]

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Around what reads numbers: what is none becomes an InputError."""
        with reading(self.path, "whole metadata", *READ_ERRORS):
            yield


def _inside(folder: Path) -> Iterator[str]:
    """The files in a folder and those in it, as names with slashes."""
    deep = len(folder.parts) + MOST_FOLDERS_DEEP
    for where, folders, names in os.walk(folder):
        folders[:] = [] if len(Path(where).parts) >= deep else sorted(folders)
        for name in sorted(names):
            yield (Path(where) / name).relative_to(folder).as_posix()


def changed(path: Path, *, deep: bool = False) -> int:
    """A number that changes with a file and what is read beside it, or with what lies in a folder.

    Directly, for it is asked often; `deep`: in the folders in it too. What lies elsewhere counts as unchanged.

    Raises: OSError where nothing is.
    """
    if name_elsewhere(path) is not None:
        return 0
    found, told = [path.stat()], 0
    others: Iterator[Path]
    if path.is_dir():
        others = islice(path.rglob("*") if deep else path.iterdir(), MOST_FILES)
    else:
        ends = BODIES if path.suffix.lower() == ".hdr" else BESIDE
        beside = (Path(f"{name}{end}") for name in {path, path.with_suffix("")} for end in ends)
        others, told = chain(beside, world_files(path)), _told(path.with_name(path.name + PAM))
    for other in others:
        with suppress(OSError):  # one that is not there, or a link to nothing
            found.append(other.stat())
    return told + sum(one.st_mtime_ns + one.st_size for one in found)


def world_files(path: Path) -> list[Path]:
    """The files that may place an image and no other.

    >>> [file.name for file in world_files(Path("a.tif"))]
    ['a.tfw', 'a.tifw', 'a.TFW', 'a.TIFW']
    """
    end = path.suffix[1:].lower()
    names = [f".{end[0]}{end[-1]}w", f".{end}w"] if end else []
    return [path.with_suffix(name) for name in (*names, *(name.upper() for name in names))]


def _told(pam: Path) -> int:
    """A number that changes with what a PAM file tells of an image, but not with statistics: any GIS adds those."""
    with suppress(OSError):
        text = FOUND.sub("", pam.read_text(encoding="utf-8", errors="replace") if pam.is_file() else "")
        while (less := EMPTY.sub("", text)) != text:
            text = less
        return crc32("".join(text.split()).encode())
    return 0


def split_part(path: Path) -> tuple[Path, str | None]:
    """A path and the part of the product that is named behind a colon, as in `PRS.he5:pan`.

    >>> split_part(Path("PRS_L2D_STD.he5:pan"))[1], split_part(Path("plain.tif"))[1]
    ('pan', None)
    """
    found = re.fullmatch(r"(.+[^:/\\]):([A-Za-z0-9_,]+)", str(path))
    return (path, None) if found is None or path.exists() else (Path(found[1]), found[2])
