"""The tables of the SSJCN paper as benchmarks, each a row of TABLES: what is run on what, and what was published.

Source of all published numbers: Wang, Xu, Wu, Wei, "Spatial-Spectral Joint Correction Network for
Hyperspectral and Multispectral Image Fusion", 2021, Tables 1 to 3. It states neither its blur nor its
split, so that they stand beside ours for orientation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypersharp.errors import check_name
from hypersharp.methods.table import METHODS
from hypersharp.pair.options import Mode, Precision
from hypersharp.simulation.protocols import PROTOCOLS


@dataclass(frozen=True)
class Published:
    """Name -> PSNR (dB), SSIM, SAM (degrees), ERGAS as the source prints them."""

    source: str
    rows: Mapping[str, tuple[str, str, str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """What is run: `methods` as name or name:weights, `scenes` by name (none: all test scenes of the protocol).

    The first method is compared with each other one, scene by scene. `name+c` is the method whose result is made
    consistent with hs, which the bare name never is (but for "auto"). `published` stands beside the results.
    """

    protocol: str
    methods: tuple[str, ...] = ("bicubic", "ssjcn")
    published: Published | None = None
    scenes: tuple[str, ...] = ()
    mode: Mode = "whole"
    device: str = "auto"
    precision: Precision = "auto"


WITHOUT_WEIGHTS = tuple(name for name, method in METHODS.items() if not method.is_network)
# Networks are run where weights are packaged that were made for the protocol's sensor, or for any.
TABLES: dict[str, tuple[Benchmark, ...]] = {
    "table1": (
        Benchmark(
            protocol="dian-x4",
            methods=(
                *("ssjcn:ssjcn-dian-x4", "ssjcn+c:ssjcn-dian-x4", "ssjcn:ssjcn-dian-x4-t1", "ssjcn:ssjcn2-dian-x4"),
                *("dbin:dbin-dian-x4", "dhsis:dhsis-dian-x4"),
                *("srcnn:srcnn-dian-x4", "ssf-cnn:ssf-cnn-dian-x4", "ssf-cnn:pdcon-ssf-dian-x4"),
                *("ms-ssfnet:ms-ssfnet-dian-x4", "ham-mfn:ham-mfn-dian-x4"),
                *WITHOUT_WEIGHTS,
            ),
            published=Published(
                "Wang, Xu, Wu, Wei 2021, Table 1 (CAVE)",
                {
                    "SSJCN": ("48.5434", "0.9937", "3.0916", "1.0165"),
                    "DBIN": ("47.24", "0.9933", "3.22", "1.17"),
                    "DHSIS": ("45.18", "0.9903", "3.35", "1.34"),
                    "HySure": ("40.58", "0.9779", "6.25", "2.51"),
                },
            ),
        ),
        Benchmark("dian-x8", ("ssjcn:ssjcn2-dspnet-x8", *WITHOUT_WEIGHTS)),  # but for the scores the same protocol
        Benchmark("dspnet-x4", ("ssjcn:ssjcn2-dspnet-x4", *WITHOUT_WEIGHTS)),
        Benchmark("dspnet-x8", ("ssjcn:ssjcn2-dspnet-x8", *WITHOUT_WEIGHTS)),
    ),
    # No weights for Harvard are packaged: whoever has its scenes trains them first.
    "table2": (
        Benchmark(
            protocol="harvard-x4",
            methods=("ssjcn:ssjcn-harvard-x4", "dbin:dbin-harvard-x4", "dhsis:dhsis-harvard-x4", *WITHOUT_WEIGHTS),
            published=Published(
                "Wang, Xu, Wu, Wei 2021, Table 2 (Harvard)", {"SSJCN": ("47.1581", "0.9847", "3.3153", "2.1151")}
            ),
        ),
    ),
    "table3": (
        Benchmark(
            protocol="dian-x4",
            methods=("ssjcn:ssjcn-dian-x4", "ssjcn:ssjcn-dian-x4-t1", "ssjcn:ssjcn-dian-x4-t3"),
            published=Published(
                "Wang, Xu, Wu, Wei 2021, Table 3 (CAVE)",
                {
                    "SSJCN, T = 2": ("48.5434", "0.9937", "3.0916", "1.0165"),
                    "SSJCN, T = 1": ("47.1570", "0.9928", "3.2652", "1.1584"),
                },
            ),
        ),
    ),
}


def find_table(name: str) -> tuple[Benchmark, ...]:
    """The table of that name, a part for each protocol; a protocol's name stands for the usual methods on it.

    Raises: InputError with the nearest names where there is neither.

    >>> [part.protocol for part in find_table("table1")], find_table("uestc-x4")[0].methods
    (['dian-x4', 'dian-x8', 'dspnet-x4', 'dspnet-x8'], ('bicubic', 'ssjcn'))
    """
    check_name("protocol or table", name, [*PROTOCOLS, *TABLES])
    return TABLES[name] if name in TABLES else (Benchmark(name),)
