"""Spectral responses by name: public facts about sensors, nothing else.

A `Curve` is a response digitised at fixed wavelengths; `Bands` are published band centres and full
widths at half maximum, realised as Gaussians (the true curves are flatter, with steeper flanks).
"""

from dataclasses import dataclass, field

CAVE_WAVELENGTHS_NM: tuple[float, ...] = tuple(float(nm) for nm in range(400, 701, 10))


@dataclass(frozen=True)
class Curve:
    """Relative response of each band at `wavelengths_nm`; `source` says where it was read.

    `more`: the bands that have to be named.
    """

    source: str
    wavelengths_nm: tuple[float, ...]
    bands: dict[str, tuple[float, ...]]
    more: tuple[str, ...] = ()

    @property
    def usual(self) -> tuple[str, ...]:
        """The bands meant when none are named."""
        return tuple(band for band in self.bands if band not in self.more)


@dataclass(frozen=True)
class Bands:
    """Band -> (centre nm, FWHM nm); `usual` are the bands meant when none are named.

    `nominal`: the round centres that products state instead, where those of a series differ from its members'.
    """

    source: str
    bands: dict[str, tuple[float, float]]
    usual: tuple[str, ...]
    nominal: dict[str, float] = field(default_factory=dict)


def curve(source: str, wavelengths_nm: tuple[float, ...], **bands: str) -> Curve:
    """Each band's weights as a text of numbers."""
    return Curve(source, wavelengths_nm, {band: tuple(map(float, text.split())) for band, text in bands.items()})


def centres(source: str, usual: str, more: str, nominal: str = "") -> Bands:
    """Texts of "band centre FWHM, .." and "band centre, .."; what is `more` than usual has to be named."""
    rows = [row.split() for row in f"{usual}, {more}".split(",") if row.strip()]
    bands = {band: (float(centre), float(width)) for band, centre, width in rows}
    rounded = {band: float(centre) for band, centre in (row.split() for row in nominal.split(",") if row)}
    return Bands(source, bands, tuple(row.split()[0] for row in usual.split(",")), rounded)


def edges(source: str, usual: str, more: str) -> Bands:
    """As `centres`, of bands published as their two half-maximum edges: "band low high, ..", nm."""
    table = centres(source, usual, more)
    bands = {band: ((low + high) / 2, high - low) for band, (low, high) in table.bands.items()}
    return Bands(source, bands, table.usual)


def bands_of(sensor: str) -> Bands:
    """The centres and widths of a sensor of `SRFS` that is no camera."""
    known = SRFS[sensor]
    assert isinstance(known, Bands)
    return known


SENTINEL_2 = "ESA, Sentinel-2 MSI spatial and spectral resolutions (usual: the bands of 10 and 20 m)"
SENTINEL_2_NOMINAL = (
    "B1 443, B2 490, B3 560, B4 665, B5 705, B6 740, B7 783, B8 842, B8A 865, B9 945, B10 1375, B11 1610, B12 2190"
)

SRFS: dict[str, Curve | Bands] = {
    "nikon-d700": curve(
        "maxmax.com/spectral_response.htm, as digitised for DHSIS and used ever since",
        CAVE_WAVELENGTHS_NM,
        R="2 1 1 1 1 1 0 0 0 0 0 0 0 0 0 0 2 6 11 17 21 22 21 20 20 19 19 18 18 17 17",
        G="1 1 1 1 1 1 2 4 6 8 11 16 19 21 20 18 16 14 11 7 5 3 2 2 1 1 2 2 2 2 2",
        B="7 10 15 19 25 29 30 29 27 22 16 9 2 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 1 1 1",
    ),
    "sentinel-2a": centres(
        SENTINEL_2,
        "B2 492.4 66, B3 559.8 36, B4 664.6 31, B5 704.1 15, B6 740.5 15, B7 782.8 20, B8 832.8 106, B8A 864.7 21, "
        "B11 1613.7 91, B12 2202.4 175",
        more="B1 442.7 20, B9 945.1 20, B10 1373.5 31",
        nominal=SENTINEL_2_NOMINAL,
    ),
    "sentinel-2b": centres(
        SENTINEL_2,
        "B2 492.1 66, B3 559.0 36, B4 664.9 31, B5 703.8 16, B6 739.1 15, B7 779.7 20, B8 832.9 106, B8A 864.0 22, "
        "B11 1610.4 94, B12 2185.7 185",
        more="B1 442.3 20, B9 943.2 21, B10 1376.9 30",
        nominal=SENTINEL_2_NOMINAL,
    ),
    "sentinel-2c": centres(
        SENTINEL_2,
        "B2 489.2 66, B3 560.6 36, B4 666.5 30, B5 707.1 15, B6 741.1 14, B7 785.0 20, B8 834.6 115, B8A 865.6 21, "
        "B11 1612.0 91, B12 2191.3 181",
        more="B1 443.9 21, B9 947.3 20, B10 1372.0 30",
        nominal=SENTINEL_2_NOMINAL,
    ),
    "landsat-8": centres(
        "USGS, Landsat 8 Operational Land Imager (usual: the bands of 30 m without cirrus)",
        "B1 443 16, B2 482 60, B3 561 57, B4 655 37, B5 865 28, B6 1609 85, B7 2201 187",
        more="pan 590 172, cirrus 1373 20",
    ),
    "landsat-9": centres(
        "USGS, Landsat 9 Operational Land Imager 2 (usual: the bands of 30 m without cirrus)",
        "B1 443 15, B2 482 60, B3 561 56, B4 654 37, B5 865 28, B6 1608 85, B7 2201 187",
        more="pan 589 172, cirrus 1374 20",
    ),
    "landsat-7": edges(
        "USGS, Landsat 7 Enhanced Thematic Mapper Plus (usual: the bands of 30 m)",
        "B1 450 520, B2 520 600, B3 630 690, B4 770 900, B5 1550 1750, B7 2090 2350",
        more="pan 520 900",
    ),
    "landsat-5": edges(
        "USGS, Landsat 4 and 5 Thematic Mapper",
        "B1 450 520, B2 520 600, B3 630 690, B4 760 900, B5 1550 1750, B7 2080 2350",
        more="B6 10400 12500",
    ),
    "ikonos": edges(
        "Space Imaging, IKONOS relative spectral response (half-maximum edges)",
        "blue 444.7 516.0, green 506.4 595.0, red 631.9 697.7, nir 757.3 852.7",
        more="pan 525.8 928.5",
    ),
    "ali": edges(
        "NASA/USGS, Earth Observing-1 Advanced Land Imager (usual: the nine bands of 30 m)",
        "1p 433 453, 1 450 515, 2 525 605, 3 630 690, 4 775 805, 4p 845 890, 5p 1200 1300, 5 1550 1750, 7 2080 2350",
        more="pan 480 690",
    ),
    "planet-superdove": centres(
        "Planet, PlanetScope product specifications (SuperDove)",
        "coastal_blue 443 20, blue 490 50, green_i 531 36, green 565 36, yellow 610 20, red 665 31, rededge 705 15, "
        "nir 865 40",
        more="",
    ),
    "worldview-2": edges(
        "DigitalGlobe/Maxar, WorldView-2 datasheet",
        "coastal 400 450, blue 450 510, green 510 580, yellow 585 625, red 630 690, red-edge 705 745, nir1 770 895, "
        "nir2 860 1040",
        more="pan 450 800",
    ),
    "worldview-3": edges(
        "DigitalGlobe/Maxar, WorldView-3 datasheet (usual: the eight bands of VNIR)",
        "coastal 400 450, blue 450 510, green 510 580, yellow 585 625, red 630 690, red-edge 705 745, nir1 770 895, "
        "nir2 860 1040",
        more="pan 450 800, swir1 1195 1225, swir2 1550 1590, swir3 1640 1680, swir4 1710 1750, swir5 2145 2185, "
        "swir6 2185 2225, swir7 2235 2285, swir8 2295 2365",
    ),
    "pleiades-1a": edges(
        "CNES/Airbus, Pleiades 1A (half-maximum edges to 5 nm)",
        "blue 445 530, green 515 595, red 605 685, nir 770 900",
        more="pan 485 815",
    ),
    "spot-6": edges(
        "Airbus, SPOT 6 and SPOT 7 imagery user guide",
        "blue 450 520, green 530 590, red 625 695, nir 760 890",
        more="pan 450 745",
    ),
}
