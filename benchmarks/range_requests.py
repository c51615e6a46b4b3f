"""Bytes that a pair of cloud-optimized GeoTIFFs on a web server costs, by those of the blocks that are needed.

    python benchmarks/range_requests.py -o DIR --side 2000

A server on this machine honours Range and counts what it sends. HS (8 bands, ratio 4) and MS (4 bands) are shaded
noise of 12 bits in whole numbers. Needed are, once each, the blocks of full resolution under the pixels that are asked
for. Rows: a window of a quarter of the side, the pair fused at once, and in tiles.
"""

import argparse
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from hypersharp.cube import make_cube
from hypersharp.fusion.fuse import fuse
from hypersharp.grid import Window
from hypersharp.io import open_cube, save_cube
from hypersharp.io.image import Image
from hypersharp.pair.options import Options
from hypersharp.tiles.run import TiledOptions, prepare

RATIO, BANDS, MS_BANDS = 4, 8, 4
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
FUSING: dict[str, Any] = {"coregister": "none", "consistent": False}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=2000, help="fine pixels along a side")
    arguments = parser.parse_args()
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1"
    arguments.out.mkdir(parents=True, exist_ok=True)
    make_pair(arguments.out, arguments.side)
    for name, fetched, needed, answers in rows(arguments.out, arguments.side):
        print(f"{name:<8} {fetched / 1e6:8.2f} MB fetched in {answers} answers, {fetched / needed:.1%} of the needed")


def make_pair(folder: Path, side: int) -> None:
    """hs.cog.tif and ms.cog.tif in a folder, unless they are there."""
    random, sizes = np.random.default_rng(0), {"hs": (BANDS, side // RATIO), "ms": (MS_BANDS, side)}
    for name, (bands, own) in sizes.items():
        path = folder / f"{name}.cog.tif"
        if not path.exists():
            shade = 1000 + 800 * np.sin(np.linspace(0, 9, own))[:, None] * np.cos(np.linspace(0, 7, own))
            values = (shade + random.normal(0, 60, (bands, own, own))).astype(np.uint16)
            place = PLACE @ Affine.scale(side / own)
            nm = np.linspace(450, 850, bands)
            save_cube(make_cube(values, wavelengths_nm=nm, crs="EPSG:32633", transform=place), path)


def rows(folder: Path, side: int) -> Iterator[tuple[str, int, int, int]]:
    """What was done, the bytes fetched for it and needed, and the answers that they came in."""
    paths = [folder / f"{name}.cog.tif" for name in ("hs", "ms")]
    part = (side // 4, side // 3, side // 4, side // 4)

    def window(_: str, ms: str) -> None:
        open_cube(ms, window=part)

    def whole(hs: str, ms: str) -> None:
        fuse(hs, ms, method="bicubic", **FUSING)

    def in_tiles(hs: str, ms: str) -> None:
        tiles, options = TiledOptions(workers=1, side_px=side // 4), Options(**FUSING)
        coarse, fine = (Image(Path(address)) for address in (hs, ms))
        prepare(coarse, fine, folder / "sharp.npy", method="bicubic", tiles=tiles, options=options).carry_out()

    everything = sum(needed_bytes(path, None) for path in paths)
    for does, needed in ((window, needed_bytes(paths[1], part)), (whole, everything), (in_tiles, everything)):
        with serving(folder) as (address, sent):  # another port: nothing of it is in a cache
            does(*(f"{address}/{path.name}" for path in paths))
            yield does.__name__, sum(sent), needed, len(sent)


def needed_bytes(path: Path, window: Window | None) -> int:
    """The bytes of the blocks of full resolution under a window (y0, x0, height, width), or of all."""
    with rasterio.open(path) as dataset:
        block_y, block_x = dataset.block_shapes[0]
        y, x, height, width = window or (0, 0, *dataset.shape)
        spans = range(y // block_y, -(-(y + height) // block_y)), range(x // block_x, -(-(x + width) // block_x))
        shared = dataset.profile["interleave"] == "pixel"
        bands = [1] if shared else dataset.indexes
        return sum(
            int(dataset.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=band))
            for band in bands
            for row in spans[0]
            for column in spans[1]
        )


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """The address of a server of a folder, which honours Range, and the bytes sent, one number an answer.

    A file NAME.redirect holds the address that NAME leads to.
    """
    sent = list[int]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(head=True)

        def do_GET(self) -> None:
            self.answer(head=False)

        def answer(self, *, head: bool) -> None:
            file = folder / self.path.lstrip("/")
            leads = file.with_name(f"{file.name}.redirect")
            if leads.is_file():
                self.send_response(302)
                self.send_header("Location", leads.read_text())
                self.send_header("Content-Length", "0")
                return self.end_headers()
            if not file.is_file():
                return self.send_error(404)
            whole = file.stat().st_size
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first, last = (int(wanted[1]), min(int(wanted[2] or whole - 1), whole - 1)) if wanted else (0, whole - 1)
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {first}-{last}/{whole}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(last + 1 - first))
            self.end_headers()
            if not head:
                with file.open("rb") as content:
                    content.seek(first)
                    sent.append(self.wfile.write(content.read(last + 1 - first)))
            return None

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sent
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    main()
