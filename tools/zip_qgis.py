"""The QGIS plugin as the zip file that QGIS installs: python tools/zip_qgis.py FOLDER.

Its version is the package's; the same sources give the same bytes.
"""

import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "qgis" / "hypersharp_qgis"
FIRST_TIME = (1980, 1, 1, 0, 0, 0)


def main() -> None:
    found = re.search(r'^__version__ = "(.+)"$', (ROOT / "src/hypersharp/__init__.py").read_text(), re.MULTILINE)
    assert found
    out = Path(sys.argv[1]) / f"hypersharp_qgis-{found[1]}.zip"
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for path in [*sorted(PLUGIN.glob("*.py")), PLUGIN / "metadata.txt", ROOT / "LICENSE"]:
            content = path.read_text(encoding="utf-8")
            if path.name == "metadata.txt":
                content = re.sub(r"^version=.*$", f"version={found[1]}", content, flags=re.MULTILINE)
            entry = zipfile.ZipInfo(f"{PLUGIN.name}/{path.name}", FIRST_TIME)
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            file.writestr(entry, content)
    print(out)


if __name__ == "__main__":
    main()
