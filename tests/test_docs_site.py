"""The documentation site builds without a warning and without a network, runs its notebooks, and reads offline."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import hypersharp

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
NOWHERE = "http://127.0.0.1:9"  # a proxy that does not answer: what asks the network fails
LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src")}


class Page(HTMLParser):
    """The ids on a page, what it loads, what it links to, and its pictures without a text for the blind."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.mute: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        self.ids.add(has.get("id", ""))
        self.loads += [value for name, value in has.items() if (tag, name) in LOADED]
        self.links += [has["href"]] if tag == "a" and "href" in has else []
        self.mute += [has.get("src", "")] if tag == "img" and not has.get("alt") else []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does, with the package that is tested here and without a network."""
    folder = tmp_path_factory.mktemp("site")
    source = str(Path(hypersharp.__file__).parents[1])
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
    second = str(ROOT / "packages" / "hypersharp-weights" / "src")  # the gallery shows DBIN
    path = os.pathsep.join([source, second, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-W",
            "--keep-going",
            "-q",
            "-b",
            "html",
            "-d",
            folder / "trees",
            DOCS,
            folder / "html",
        ],
        env={**os.environ, **proxies, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert not [url for url in page.loads if urlsplit(url).netloc], path
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", sheet.read_text()), sheet


def test_links_anchors_and_pictures_are_there(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        for url in page.loads + page.links:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.name}: {url}"
            if parts.fragment and target in pages:
                assert parts.fragment in pages[target].ids, f"{path.name}: {url}"


def test_pictures_have_a_text(pages: dict[Path, Page]) -> None:
    assert not {path.name: page.mute for path, page in pages.items() if page.mute and "notebooks" not in path.parts}


def test_formulas_are_drawn_by_the_browser(site: Path) -> None:
    text = (site / "methods" / "hysure.html").read_text()
    assert text.count("<math") > 10
    assert "$" not in re.sub(r"<(script|pre).*?</\1>", "", text, flags=re.DOTALL)


def test_every_verb_is_in_the_reference(site: Path) -> None:
    from hypersharp.cli import app

    text = (site / "reference" / "command-line.html").read_text()
    for command in app.registered_commands:
        assert command.callback
        assert f'id="{command.callback.__name__}"' in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_ran_and_store_no_output(path: Path, site: Path) -> None:
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    text = (site / "notebooks" / f"{path.stem}.html").read_text()
    assert text.count("cell_output") >= len(cells) // 2
