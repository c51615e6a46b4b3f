"""The verb that looks the installation over: doctor."""

import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Annotated, Any

import typer

from hypersharp.cli.app import app
from hypersharp.cli.shown import say, say_facts, table
from hypersharp.system.folders import wished_cache_folder

MEASURED_S = 0.3  # a measurement goes on for so long, about
LEAST_FREE_BYTES = 2e9


Needs = dict[str, list[dict[str, Any]]]  # by extra ("" for the core): library, version found, bounds, whether it is met


@app.command(rich_help_panel="What there is")
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    speed: Annotated[bool, typer.Option(help="Measure how fast the machine is, a second.")] = True,
) -> None:
    """Say what is installed and what is missing, how fast the machine is, which weights there are, where caches lie.

    Exits 1 where what is installed cannot work.
    """
    found = look_over(speed)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        show(found)
    if found["wrong"]:
        raise typer.Exit(1)


def look_over(speed: bool) -> dict[str, Any]:
    """What there is, JSON-able; "wrong" says what keeps the package from working, "to_do" what one may want to mend."""
    import torch

    from hypersharp.networks.packaged import SECOND_PACKAGE, missing_weights, packaged_weights
    from hypersharp.system.build_info import commit, machine, release
    from hypersharp.system.memory import free_bytes

    extras, caches, free, missing = needs_of_extras(), wished_cache_folder(), free_bytes(), missing_weights()
    complete = sorted(name for name, needs in extras.items() if name and all(need["met"] for need in needs))
    folders = {"caches": caches, "temporary files": Path(os.environ.get("TMPDIR", "/tmp"))}
    cached = (file.stat().st_size for file in caches.rglob("*") if file.is_file())
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "version": release(),
        "commit": commit(),
        "python": f"{platform.python_version()} in {sys.prefix}",
        "system": platform.platform(),
        "machine": machine(),
        "memory_free_gb": round(free / 1e9, 1),
        "torch": {"version": torch.__version__, "threads": torch.get_num_threads(), "gpus": gpus},
        "gdal": gdal_facts(),
        "compiler": shutil.which(os.environ.get("CXX", "g++")),
        "speed": speeds() if speed else None,
        "extras": extras,
        "extras_complete": complete,
        "weights": list(packaged_weights()),
        "weights_missing": missing,
        "caches": {"folder": str(caches), "bytes": sum(cached)},
        "data": os.environ.get("HYPERSHARP_DATA"),
        "wrong": [*unfit(extras), *unwritable(folders)],
        "to_do": [
            *(f"pip install 'hypersharp[{name}]'" for name in sorted(set(extras) - {*complete, ""})),
            *([f"pip install {SECOND_PACKAGE}, for the weights {', '.join(missing)}"] if missing else []),
            *(["free memory: less than 2 GB are left"] if free < LEAST_FREE_BYTES else []),
        ],
    }


def gdal_facts() -> dict[str, Any] | None:
    with suppress(ImportError):
        import rasterio
        from rasterio.drivers import raster_driver_extensions

        return {"version": rasterio.__gdal_version__, "jpeg2000": "jp2" in raster_driver_extensions()}
    return None


def needs_of_extras() -> Needs:
    """Every library that the installed package asks for, by extra, those of extras in extras included."""
    from packaging.requirements import Requirement

    asked: dict[str, list[Requirement]] = {}
    try:
        lines = requires("hypersharp") or []
    except PackageNotFoundError:  # run from a folder that was never installed
        lines = []
    for line in lines:
        requirement = Requirement(line)
        marked = re.search(r'extra == "([\w-]+)"', str(requirement.marker or ""))
        asked.setdefault(marked[1] if marked else "", []).append(requirement)

    def libraries(extra: str) -> Iterator[Requirement]:
        for requirement in asked.get(extra, []):
            if requirement.name != "hypersharp":
                yield requirement
                continue
            for inner in sorted(requirement.extras):
                yield from libraries(inner)

    needs: Needs = {}
    for extra in asked:
        for library, bounds in {one.name: str(one.specifier) for one in libraries(extra)}.items():
            try:
                found = version(library)
            except PackageNotFoundError:
                found = None
            need = {"extra": extra, "library": library, "found": found, "bounds": bounds, "met": is_met(found, bounds)}
            needs.setdefault(extra, []).append(need)
    return needs


def is_met(found: str | None, bounds: str) -> bool:
    """Whether there is a version, and it is one that is asked for."""
    from packaging.specifiers import SpecifierSet

    return found is not None and SpecifierSet(bounds).contains(found, prereleases=True)


def unfit(extras: Needs) -> list[str]:
    """What the core lacks, and what is there in a version that does not fit, each library once."""
    wrong = dict[str, str]()
    for need in (need for needs in extras.values() for need in needs):
        if not need["met"] and (need["extra"] == "" or need["found"] is not None):
            text = f"{need['library']} {need['found'] or 'is missing'}, {need['bounds'] or 'any'} is needed: reinstall"
            wrong.setdefault(need["library"], text)
    return list(wrong.values())


def unwritable(folders: dict[str, Path]) -> Iterator[str]:
    for what, path in folders.items():
        there = next(place for place in (path, *path.absolute().parents) if place.exists())  # what it would be made in
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            yield f"{path}, for {what}, cannot be written"


def speeds() -> dict[str, float]:
    """What fusion mostly does: products of matrices, passes over memory, 3 x 3 convolutions of 64 channels."""
    import torch
    from torch.nn import functional as F

    a, big = torch.rand(768, 768), torch.rand(8_000_000)
    image, weights = torch.rand(1, 64, 128, 128), torch.rand(64, 64, 3, 3)
    result = torch.empty_like(big)

    with torch.inference_mode():
        product_s = seconds_of(lambda: a @ a)
        pass_s = seconds_of(lambda: torch.mul(big, 2.0, out=result))
        convolution_s = seconds_of(lambda: F.conv2d(image, weights, padding=1))
    return {
        "matmul_gflops": round(2 * 768**3 / 1e9 / product_s, 1),
        "memory_gb_s": round(2 * 4 * big.numel() / 1e9 / pass_s, 1),
        "convolution_gflops": round(2 * 9 * 64 * 64 * 128**2 / 1e9 / convolution_s, 1),
    }


def seconds_of(work: Callable[[], Any]) -> float:
    """The shortest time that the work takes, of as many tries as there is time for."""
    work()
    ended, best = time.perf_counter() + MEASURED_S, float("inf")
    while time.perf_counter() < ended:
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def show(found: dict[str, Any]) -> None:
    """The same to read."""
    torch, gdal, speed = found["torch"], found["gdal"], found["speed"]
    lines = {
        "hypersharp": f"{found['version']} ({found['commit']})",
        "Python": f"{found['python']}, {found['system']}",
        "Machine": f"{found['machine']}, {found['memory_free_gb']} GB of memory free",
        "torch": f"{torch['version']}, {torch['threads']} threads, GPU: {', '.join(torch['gpus']) or 'none'}",
        "GDAL": f"{gdal['version']}, {'with' if gdal['jpeg2000'] else 'without'} JPEG 2000"
        if gdal
        else "not installed",
        "Compiler": found["compiler"] or "none: networks in float32 convolve as torch does, at half the speed",
    }
    if speed:
        lines["Speed"] = (
            f"matrix products {speed['matmul_gflops']} GFLOP/s, convolutions {speed['convolution_gflops']} GFLOP/s, "
            f"memory {speed['memory_gb_s']} GB/s"
        )
    lines |= {
        "Weights": ", ".join(found["weights"]) or "none",
        "Caches": f"{found['caches']['folder']}, {found['caches']['bytes'] / 1e6:.1f} MB",
        "Data sets": found["data"] or "HYPERSHARP_DATA is not set (needed by bench and train alone)",
    }
    say_facts(lines)
    rows = []
    for name, listed in sorted(found["extras"].items()):
        missing = [f"{need['library']}{need['bounds']}" for need in listed if not need["met"]]
        rows.append([name or "(core)", "installed" if not missing else f"missing: {', '.join(missing)}"])
    say("")
    say(table(["extra", ""], rows) if rows else "hypersharp is not installed here, only run: extras are not known")
    for kind, marks in (("wrong", found["wrong"]), ("to do", found["to_do"])):
        for text in marks:
            say(f"{kind}: {text}")
