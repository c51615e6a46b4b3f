"""Spectral responses by name: public facts about sensors, nothing else.

A `Curve` is a response digitised at fixed wavelengths; `Bands` are published band centres and full
widths at half maximum, realised as Gaussians (the true curves are flatter, with steeper flanks).
"""

from dataclasses import dataclass

CAVE_WAVELENGTHS_NM: tuple[float, ...] = tuple(float(nm) for nm in range(400, 701, 10))


@dataclass(frozen=True)
class Curve:
    """Relative response of each band at `wavelengths_nm`; `source` says where it was read."""

    source: str
    wavelengths_nm: tuple[float, ...]
    bands: dict[str, tuple[float, ...]]

    @property
    def usual(self) -> tuple[str, ...]:
        """The bands meant when none are named: all."""
        return tuple(self.bands)


@dataclass(frozen=True)
class Bands:
    """Band -> (centre nm, FWHM nm); `usual` are the bands meant when none are named."""

    source: str
    bands: dict[str, tuple[float, float]]
    usual: tuple[str, ...]


def _between(low_nm: float, high_nm: float) -> tuple[float, float]:
    """(centre, FWHM) of a band published as its two half-maximum edges."""
    return (low_nm + high_nm) / 2, high_nm - low_nm


def _weights(text: str) -> tuple[float, ...]:
    """The numbers of one digitised band."""
    return tuple(float(number) for number in text.split())


SRFS: dict[str, Curve | Bands] = {
    "nikon-d700": Curve(
        "maxmax.com/spectral_response.htm, as digitised for DHSIS and used ever since",
        CAVE_WAVELENGTHS_NM,
        {
            "R": _weights("2 1 1 1 1 1 0 0 0 0 0 0 0 0 0 0 2 6 11 17 21 22 21 20 20 19 19 18 18 17 17"),
            "G": _weights("1 1 1 1 1 1 2 4 6 8 11 16 19 21 20 18 16 14 11 7 5 3 2 2 1 1 2 2 2 2 2"),
            "B": _weights("7 10 15 19 25 29 30 29 27 22 16 9 2 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 1 1 1"),
        },
    ),
    "sentinel-2a": Bands(
        "ESA, Sentinel-2 MSI spatial and spectral resolutions (usual: the bands of 10 and 20 m)",
        {
            "B1": (442.7, 20),
            "B2": (492.4, 66),
            "B3": (559.8, 36),
            "B4": (664.6, 31),
            "B5": (704.1, 15),
            "B6": (740.5, 15),
            "B7": (782.8, 20),
            "B8": (832.8, 106),
            "B8A": (864.7, 21),
            "B9": (945.1, 20),
            "B10": (1373.5, 31),
            "B11": (1613.7, 91),
            "B12": (2202.4, 175),
        },
        ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"),
    ),
    "sentinel-2b": Bands(
        "ESA, Sentinel-2 MSI spatial and spectral resolutions (usual: the bands of 10 and 20 m)",
        {
            "B1": (442.3, 20),
            "B2": (492.1, 66),
            "B3": (559.0, 36),
            "B4": (664.9, 31),
            "B5": (703.8, 16),
            "B6": (739.1, 15),
            "B7": (779.7, 20),
            "B8": (832.9, 106),
            "B8A": (864.0, 22),
            "B9": (943.2, 21),
            "B10": (1376.9, 30),
            "B11": (1610.4, 94),
            "B12": (2185.7, 185),
        },
        ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"),
    ),
    "landsat-8": Bands(
        "USGS, Landsat 8 Operational Land Imager (usual: the bands of 30 m without cirrus)",
        {
            "B1": (443, 16),
            "B2": (482, 60),
            "B3": (561, 57),
            "B4": (655, 37),
            "B5": (865, 28),
            "B6": (1609, 85),
            "B7": (2201, 187),
            "pan": (590, 172),
            "cirrus": (1373, 20),
        },
        ("B1", "B2", "B3", "B4", "B5", "B6", "B7"),
    ),
    "landsat-9": Bands(
        "USGS, Landsat 9 Operational Land Imager 2 (usual: the bands of 30 m without cirrus)",
        {
            "B1": (443, 15),
            "B2": (482, 60),
            "B3": (561, 56),
            "B4": (654, 37),
            "B5": (865, 28),
            "B6": (1608, 85),
            "B7": (2201, 187),
            "pan": (589, 172),
            "cirrus": (1374, 20),
        },
        ("B1", "B2", "B3", "B4", "B5", "B6", "B7"),
    ),
    "ikonos": Bands(
        "Space Imaging, IKONOS relative spectral response (half-maximum edges)",
        {
            "blue": _between(444.7, 516.0),
            "green": _between(506.4, 595.0),
            "red": _between(631.9, 697.7),
            "nir": _between(757.3, 852.7),
            "pan": _between(525.8, 928.5),
        },
        ("blue", "green", "red", "nir"),
    ),
    "ali": Bands(
        "NASA/USGS, Earth Observing-1 Advanced Land Imager (usual: the nine bands of 30 m)",
        {
            "1p": _between(433, 453),
            "1": _between(450, 515),
            "2": _between(525, 605),
            "3": _between(630, 690),
            "4": _between(775, 805),
            "4p": _between(845, 890),
            "5p": _between(1200, 1300),
            "5": _between(1550, 1750),
            "7": _between(2080, 2350),
            "pan": _between(480, 690),
        },
        ("1p", "1", "2", "3", "4", "4p", "5p", "5", "7"),
    ),
    "pleiades-1a": Bands(
        "CNES/Airbus, Pleiades 1A (half-maximum edges to 5 nm)",
        {
            "blue": _between(445, 530),
            "green": _between(515, 595),
            "red": _between(605, 685),
            "nir": _between(770, 900),
            "pan": _between(485, 815),
        },
        ("blue", "green", "red", "nir"),
    ),
    "spot-6": Bands(
        "Airbus, SPOT 6 and SPOT 7 imagery user guide",
        {
            "blue": _between(450, 520),
            "green": _between(530, 590),
            "red": _between(625, 695),
            "nir": _between(760, 890),
            "pan": _between(450, 745),
        },
        ("blue", "green", "red", "nir"),
    ),
}
