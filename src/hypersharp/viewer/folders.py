"""The folders that a viewer may read and write, and nothing outside of them, whatever a path or a link says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypersharp.errors import CallError, InputError
from hypersharp.io.format import BY_SUFFIX, suffixes
from hypersharp.system.read_errors import reading

PLAIN_NAME = re.compile(r"[\w][\w .()+-]{0,150}")
MOST_LISTED = 500


@dataclass(frozen=True)
class Folders:
    """Resolved folders; the first takes uploads and results."""

    roots: tuple[Path, ...]

    @classmethod
    def of(cls, folders: Iterable[Path]) -> Folders:
        """The folders named.

        Raises: InputError for one that is not there.
        """
        found = []
        for folder in folders:
            if not folder.is_dir():
                raise InputError(f"no folder {folder}", "a folder that exists", "check --folder")
            found.append(folder.resolve())
        return cls(tuple(dict.fromkeys(found)))

    def inside(self, path: Path) -> Path:
        """The path with all links followed, if that lies in a folder.

        Raises: InputError where it does not, with nothing about what is there.
        """
        try:
            real = path.resolve()
        except (OSError, ValueError, RuntimeError) as exc:  # a loop of links, a null byte
            raise refused() from exc
        if not any(real == root or root in real.parents for root in self.roots):
            raise refused()
        return real

    def existing(self, name: str) -> Path:
        """An image by `name` as `images` lists it, relative to one of the folders.

        Raises: InputError for a name that leads out, to a hidden file, or to nothing.
        """
        if Path(name).is_absolute() or any(part.startswith(".") for part in Path(name).parts):
            raise refused()
        for root in self.roots:
            path = self.inside(root / name)
            if path.exists() and path != root and path.suffix.lower() in BY_SUFFIX:
                return path
        raise refused()

    def new(self, name: str, allowed: Sequence[str] = suffixes()) -> Path:
        """Where a file of that plain name may be written.

        Raises: CallError for a name with folders in it, of an unknown format, or taken.
        """
        if not PLAIN_NAME.fullmatch(name) or Path(name).suffix.lower() not in allowed:
            raise CallError(
                f"the name {name[:60]!r}", f"letters, digits, spaces and one of {', '.join(allowed)}", "change it"
            )
        path = self.inside(self.roots[0] / name)
        if path.exists():
            raise CallError(f"{name}, which is there already", "a new name", "change it")
        return path

    def images(self) -> list[str]:
        """What can be opened: images directly in the folders, by name, links that lead out left out."""
        names: dict[str, None] = {}
        for root in self.roots:
            with reading(root, "a folder that can be read", OSError):
                entries = sorted(root.iterdir())
            for path in entries:
                hidden = path.name.startswith(".") or path.suffix.lower() not in suffixes()
                if not hidden and self._holds(path):
                    names[path.name] = None
        return list(names)[:MOST_LISTED]

    def _holds(self, path: Path) -> bool:
        try:
            self.inside(path)
        except InputError:
            return False
        return True


def refused() -> InputError:
    """The one answer to all that leads out, so that nothing can be learned from it."""
    return InputError("a path that is not offered here", "an image in one of the viewer's folders", "see --folder")
