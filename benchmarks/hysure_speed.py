"""Time and memory of HySure on 512 x 512 x 31, ratio 4, p = 6, 200 iterations, beside plain NumPy.

    python benchmarks/hysure_speed.py [--iterations N] [--json FILE]

One run measures both, each in a fresh process, so that its numbers belong together: seconds of the iteration
alone (sensor and subspace given), and the peak resident memory of the whole process, libraries included. The
yardstick is the same iteration written as the equations stand, in float64 as NumPy users would, every variable
kept and every blur and difference made by FFT. Keep the machine otherwise idle.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE_PX, BANDS, MS_BANDS, RATIO, DIMENSIONS, START = 512, 31, 3, 4, 6, 1
LAMBDA_PHI, LAMBDA_M, MU = 5e-4, 1.0, 0.05
Floats = NDArray[np.float64]


def main() -> None:
    arguments = parse_arguments()
    if arguments.once:
        return run_once(arguments.once, arguments.iterations)
    from hypersharp.system.build_info import commit, machine

    numbers: dict[str, Any] = {"commit": commit(), "machine": machine(), "iterations": arguments.iterations}
    for name in ("torch", "numpy"):
        numbers[name] = measure(name, arguments.iterations)
    difference = abs(numbers["torch"].pop("checksum") / numbers["numpy"].pop("checksum") - 1)
    assert difference < 1e-4, f"the two disagree by {difference}"
    print(as_markdown(numbers))
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--once", choices=("torch", "numpy"), help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(name: str, iterations: int) -> dict[str, float]:
    """{seconds, peak_mb, checksum} of one of the two in a process of its own."""
    command = [sys.executable, __file__, "--once", name, "--iterations", str(iterations)]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(child.stdout.splitlines()[-1])
    return found


def run_once(name: str, iterations: int) -> None:
    """The child: make the pair, sharpen it, print the numbers."""
    from hypersharp.system.build_info import peak_bytes

    hs, ms, kernel, response, basis = make_pair()
    sharpen = sharpen_with_torch if name == "torch" else sharpen_with_numpy
    started = perf_counter()
    sharp = sharpen(hs, ms, kernel, response, basis, iterations)
    seconds = perf_counter() - started
    checksum = float(np.linalg.norm(sharp))
    print(json.dumps({"seconds": seconds, "peak_mb": (peak_bytes() or 0) / 2**20, "checksum": checksum}))


def make_pair() -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """(hs, ms, kernel, response, basis) of smooth abundances with edges; the speed does not hang on the content."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] / 40
    waves = [np.sin((k + 1) * y / 3) * np.cos(x + k) + np.sign(np.sin(x * (k + 1) / 2)) for k in range(DIMENSIONS)]
    shares = np.abs(np.stack(waves)) / DIMENSIONS
    basis = np.cumsum(random.random((BANDS, DIMENSIONS)), axis=0) / BANDS
    response = random.dirichlet(np.ones(BANDS), MS_BANDS)
    profile = np.exp(-0.5 * ((np.arange(8) - 3.5) / 2) ** 2)
    kernel = np.outer(profile, profile) / profile.sum() ** 2
    blurred = np.fft.ifft2(np.fft.fft2(shares) * np.fft.fft2(embedded(kernel))).real
    hs = np.einsum("lp,pyx->lyx", basis, blurred[:, START::RATIO, START::RATIO])
    ms = np.einsum("lp,pyx->lyx", response @ basis, shares)
    noise = random.standard_normal(hs.shape) * 1e-3, random.standard_normal(ms.shape) * 1e-3
    return hs + noise[0], ms + noise[1], kernel, response, basis


def embedded(kernel: Floats) -> Floats:
    """The kernel on the scene's canvas, tap floor(k/2) at the origin."""
    canvas = np.zeros((SIDE_PX, SIDE_PX))
    canvas[: kernel.shape[0], : kernel.shape[1]] = kernel
    return np.roll(canvas, (-(kernel.shape[0] // 2), -(kernel.shape[1] // 2)), (0, 1))


def sharpen_with_torch(
    hs: Floats, ms: Floats, kernel: Floats, response: Floats, basis: Floats, iterations: int
) -> Floats:
    """The package's, in float32."""
    import torch

    from hypersharp.methods.hysure import HySureOptions, sharpen
    from hypersharp.sensor.observe import Sensor
    from hypersharp.sensor.psf import PSF

    sensor = Sensor(PSF(kernel, (START, START)), response, RATIO)
    options = HySureOptions(LAMBDA_PHI, LAMBDA_M, MU, iterations)
    coarse, fine, given = (torch.tensor(a, dtype=torch.float32) for a in (hs, ms, basis))
    return sharpen(coarse, fine, sensor, basis=given, options=options).numpy().astype(np.float64)


def sharpen_with_numpy(
    hs: Floats, ms: Floats, kernel: Floats, response: Floats, basis: Floats, iterations: int
) -> Floats:
    """The equations as they stand: U, V1..V4, A1..A4 in full, 2-D FFTs of every one of them."""
    fft2, ifft2 = np.fft.fft2, np.fft.ifft2
    step_x, step_y = np.zeros((2, SIDE_PX, SIDE_PX))
    step_x[0, [0, -1]] = step_y[[0, -1], 0] = 1, -1
    transfers = [fft2(embedded(kernel)), np.ones((SIDE_PX, SIDE_PX)), fft2(step_x), fft2(step_y)]
    inverse = 1 / sum(np.abs(f) ** 2 for f in transfers)
    v = [np.zeros((DIMENSIONS, SIDE_PX, SIDE_PX)) for _ in transfers]
    a = [part.copy() for part in v]
    kept = np.s_[:, START::RATIO, START::RATIO]
    for _ in range(iterations):
        rhs = sum(np.conj(f) * fft2(v[k] + a[k]) for k, f in enumerate(transfers))
        spectrum = rhs * inverse
        n = [ifft2(f * spectrum).real - a[k] for k, f in enumerate(transfers)]
        v[0] = n[0].copy()
        v[0][kept] = pixelwise(basis, hs, 1.0, n[0][kept])
        v[1] = pixelwise(response @ basis, ms, LAMBDA_M, n[1])
        length = np.sqrt((n[2] ** 2 + n[3] ** 2).sum(0))
        rest = np.maximum(0, length - LAMBDA_PHI / MU)
        shorter = rest / (rest + LAMBDA_PHI / MU)
        v[2], v[3] = shorter * n[2], shorter * n[3]
        a = [new - old for new, old in zip(v, n, strict=True)]
    sharp: Floats = np.einsum("lp,pyx->lyx", basis, ifft2(spectrum).real)
    return sharp


def pixelwise(matrix: Floats, image: Floats, weight: float, n: Floats) -> Floats:
    """argmin_v weight/2 ||image - matrix v||^2 + mu/2 ||v - n||^2, every pixel."""
    normal = weight * matrix.T @ matrix + MU * np.eye(matrix.shape[1])
    rhs = weight * matrix.T @ image.reshape(len(image), -1) + MU * n.reshape(len(n), -1)
    return np.asarray(np.linalg.solve(normal, rhs).reshape(n.shape), dtype=np.float64)


def as_markdown(numbers: dict[str, Any]) -> str:
    torch_row, numpy_row = numbers["torch"], numbers["numpy"]
    return "\n".join(
        [
            f"HySure, {SIDE_PX} x {SIDE_PX} x {BANDS}, ratio {RATIO}, p = {DIMENSIONS}, "
            f"{numbers['iterations']} iterations; {numbers['machine']}, commit {numbers['commit']}",
            "",
            "| program | seconds | peak memory (MB) |",
            "| --- | --- | --- |",
            f"| hypersharp, float32 | {torch_row['seconds']:.1f} | {torch_row['peak_mb']:.0f} |",
            f"| plain NumPy, float64 | {numpy_row['seconds']:.1f} | {numpy_row['peak_mb']:.0f} |",
            "",
            f"{numpy_row['seconds'] / torch_row['seconds']:.1f} times as fast.",
        ]
    )


if __name__ == "__main__":
    main()
