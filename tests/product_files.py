"""Miniatures of satellite and airborne products over a `Landscape`, in the makers' layouts, as small as they go.

Names, axes, units, fill values and metadata are those that the makers' documents and public readers agree on.
"""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from scipy.spatial import KDTree

from product_scene import EPSG, SIDE_M, Landscape, centres, disc, in_orbit, on_map, swaying

CLOUD = 0.8  # reflectance
S2 = {"B02": (492.4, 66, 10), "B03": (559.8, 36, 10), "B04": (664.6, 31, 10), "B08": (832.8, 106, 10)}
S2 |= {"B05": (704.1, 15, 20), "B11": (1613.7, 91, 20)}


def write_raster(path: Path, values: Any, place: Affine, nodata: float | None = None, **more: Any) -> Path:
    """A GeoTIFF or .jp2 of values (band, y, x) or (y, x)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    planes = np.atleast_3d(values.T).T if values.ndim == 2 else values
    profile = {"count": len(planes), "height": planes.shape[1], "width": planes.shape[2], "dtype": planes.dtype}
    profile |= {"crs": EPSG, "transform": place} | ({} if nodata is None else {"nodata": nodata})
    jp2 = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES", "YCBCR420": "NO"}
    with rasterio.open(path, "w", **(profile | (jp2 if path.suffix == ".jp2" else {"driver": "GTiff"}) | more)) as file:
        file.write(planes)
    for beside in path.parent.glob("*.aux.xml"):
        beside.unlink()
    return path


def tags(**texts: Any) -> str:
    return "".join(f"<{tag}>{text}</{tag}>" for tag, text in texts.items())


def enmap(folder: Path, land: Landscape) -> Path:
    """EnMAP L2A, 48 of its 224 bands; a cloud and its shadow, corners that were not seen, four empty bands."""
    name, side, place = (
        "ENMAP01-____L2A-DT0000000001_20240615T101500Z_001_V010402_20240616T000000Z",
        24,
        on_map(30, 345, 405),
    )
    nm = np.sort(np.r_[np.linspace(418, 993, 20), np.linspace(902, 2445, 28)])
    values = land.seen(place, (side, side), nm, 9.0)
    cloud = disc(30, (side, side), (510, 285), 60)
    values[:, cloud] = CLOUD
    numbers = np.round(values * 10000).astype("i2")
    numbers[:, np.tri(side, side, -18, dtype=bool)] = -32768
    empty = (nm > 1330) & (nm < 1420)
    numbers[empty] = -32768
    base = folder / name / name
    write_raster(Path(f"{base}-SPECTRAL_IMAGE.TIF"), numbers, place, -32768)
    for layer, flags in {
        "CLOUD": cloud,
        "CLOUDSHADOW": np.roll(cloud, (4, -3), (0, 1)),
        "HAZE": cloud & False,
        "SNOW": cloud & False,
    }.items():
        write_raster(Path(f"{base}-QL_QUALITY_{layer}.TIF"), flags.astype("u1"), place, 255)
    write_raster(Path(f"{base}-QL_VNIR.TIF"), np.zeros((3, side, side), "u1"), place)
    listed = "".join(
        f"<bandID>{tags(wavelengthCenterOfBand=w, FWHMOfBand=9.0, GainOfBand=0.0001, OffsetOfBand=0)}</bandID>"
        for w in nm
    )
    means = "".join(f"<bandID>{tags(mean=-1000000 if e else 0.2)}</bandID>" for e in empty)
    specific = tags(backgroundValue=-32768, bandCharacterisation=listed)
    meta = tags(base=tags(level="L2A"), specific=specific, product=tags(bandStatistics=means))
    Path(f"{base}-METADATA.XML").write_text(f"<level_X>{meta}</level_X>")
    return folder / name


def sentinel2(folder: Path, land: Landscape, baseline: str = "05.10") -> Path:
    """Sentinel-2 L2A in a SAFE folder, 1440 m wide; an offset since baseline 04.00; a cloud, an empty corner."""
    added = 1000 if baseline >= "04.00" else 0
    safe = folder / f"S2A_MSIL2A_20240616T101031_N{baseline.replace('.', '')}_R022_T33UUU_20240616T160612.SAFE"
    images = safe / "GRANULE/L2A_T33UUU_A046912_20240616T101029/IMG_DATA"
    order = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
    for band, (nm, width, size) in S2.items():
        n, place = SIDE_M // size, on_map(size)
        numbers = np.round(land.seen(place, (n, n), np.array([nm]), width)[0] * 10000 + added)
        cloud = disc(20, (SIDE_M // 20, SIDE_M // 20), (1150, 260), 110)
        numbers[np.kron(cloud, np.ones((20 // size, 20 // size), bool))] = CLOUD * 10000 + added
        numbers[disc(size, (n, n), (0, 0), 120)] = 0
        write_raster(images / f"R{size}m/T33UUU_20240616T101031_{band}_{size}m.jp2", numbers.astype("u2"), place)
    n = SIDE_M // 20
    classes = np.where(disc(20, (n, n), (1150, 260), 110), 9, 4).astype("u1")
    classes[disc(20, (n, n), (0, 0), 120)] = 0
    write_raster(images / "R20m/T33UUU_20240616T101031_SCL_20m.jp2", classes, on_map(20))
    spectral = "".join(f'<Spectral_Information bandId="{i}" physicalBand="{band}"/>' for i, band in enumerate(order))
    offsets = "".join(f'<BOA_ADD_OFFSET band_id="{i}">{-added}</BOA_ADD_OFFSET>' for i in range(13)) if added else ""
    info = tags(
        PROCESSING_LEVEL="Level-2A",
        PROCESSING_BASELINE=baseline,
        SPACECRAFT_NAME="Sentinel-2A",
        BOA_QUANTIFICATION_VALUE=10000,
    )
    root = 'n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd"'
    (safe / "MTD_MSIL2A.xml").write_text(f"<{root}>{info}{offsets}{spectral}</n1:Level-2A_User_Product>")
    return safe


def put(group: h5py.Group, **arrays: Any) -> None:
    for name, values in arrays.items():
        group.create_dataset(name, data=values, compression="gzip" if np.ndim(values) else None)


def prisma(folder: Path, land: Landscape, level: str = "L2D", track: str = "straight") -> Path:
    """PRISMA, 20 + 24 of its 239 channels and its pan; an L2D on the map, others along an orbit; a pixel of errors."""
    side, scale = 24, (0.9 + 0.02) / 65535
    place = on_map(30, 373, 427) if level == "L2D" else in_orbit(30, side)
    ground = swaying if track == "bent" else None
    inside = ~np.tri(side, side, -19, dtype=bool)
    nm = {"Vnir": np.r_[0, np.linspace(972.8, 402.4, 20)], "Swir": np.r_[np.linspace(2497.1, 943, 24), 0, 0]}
    path = folder / f"PRS_{level}_STD_20240615101200_20240615101204_0001.he5"
    with h5py.File(path, "w") as file:
        swath = file.create_group(f"HDFEOS/SWATHS/PRS_{level}_HCO")
        fields, geolocation = swath.create_group("Data Fields"), swath.create_group("Geolocation Fields")
        for name, centres_nm in nm.items():
            width = np.where(centres_nm > 0, 12.0, 0)
            file.attrs[f"List_Cw_{name}"], file.attrs[f"List_Fwhm_{name}"] = centres_nm, width
            values = land.seen(place, (side, side), np.maximum(centres_nm, 400), np.maximum(width, 12), ground)
            numbers = np.nan_to_num(np.round((values + 0.02) / scale)) * inside * (centres_nm > 0)[:, None, None]
            errors = np.zeros((side, len(centres_nm), side), "u1")
            errors[5, :, 7] = 1
            put(fields, **{f"{name.upper()}_Cube": numbers.astype("u2").transpose(1, 0, 2)})
            put(fields, **{f"{name.upper()}_PIXEL_{'SAT' if level == 'L1' else 'L2'}_ERR_MATRIX": errors})
        for name in ("Vnir", "Swir", "Pan"):
            low_high = (
                {"ScaleFactor_": 100.0, "Offset_": 0.0}
                if level == "L1"
                else {"L2Scale{}Min": -0.02, "L2Scale{}Max": 0.9}
            )
            for key, value in low_high.items():
                file.attrs[key.format(name) if "{}" in key else key + name] = np.float32(value)
        lon, lat = centres(place, (side, side), ground)
        end = "_VNIR" if level == "L1" else ""
        put(geolocation, **{f"Longitude{end}": lon.astype("f4"), f"Latitude{end}": lat.astype("f4")})
        fine, n = place @ Affine.scale(1 / 6), 6 * side
        pan = file.create_group(f"HDFEOS/SWATHS/PRS_{level}_PCO")
        seen = land.seen(fine, (n, n), np.array([550.0]), 300, ground)[0]
        put(pan.create_group("Data Fields"), Cube=np.nan_to_num(np.round((seen + 0.02) / scale)).astype("u2"))
        lon, lat = centres(fine, (n, n), ground)
        put(pan.create_group("Geolocation Fields"), Longitude=lon.astype("f4"), Latitude=lat.astype("f4"))
        if level == "L2D":
            file.attrs["Epsg_Code"] = EPSG
    return path


def emit(folder: Path, land: Landscape, track: str = "straight") -> Path:
    """EMIT L2A and its MASK, 60 of 285 bands; "bent": a swath that no affine fits."""
    lines, samples, stamp = 24, 22, "20240615T102030_2416707_005"
    nm, place, ground = np.linspace(381, 2493, 60), in_orbit(60, lines), swaying if track == "bent" else None
    values = land.seen(place, (lines, samples), nm, 30.0, ground)
    cloud = disc(60, (lines, samples), (1000, 300), 100)
    values[:, cloud] = CLOUD
    good = ~((nm > 1325) & (nm < 1435))
    values[~good] = -0.01
    lon, lat = centres(place, (lines, samples), ground)
    step = 0.000542232520256367
    west, north = lon.min() - step, lat.max() + step
    x, y = np.meshgrid(
        np.arange(west, lon.max() + step, step) + step / 2, np.arange(north, lat.min() - step, -step) - step / 2
    )
    distance, nearest = KDTree(np.stack([lon.ravel(), 1.6 * lat.ravel()], -1)).query(np.stack([x, 1.6 * y], -1))
    hit = distance < step
    line, sample = np.unravel_index(nearest, lon.shape)
    mask = np.zeros((lines, samples, 8), "f4")
    mask[..., 0], mask[..., 4] = cloud, disc(60, (lines, samples), (1000, 300), 160)
    path = folder / f"EMIT_L2A_RFL_001_{stamp}.nc"
    for kind, name, data in (
        ("RFL", "reflectance", np.nan_to_num(values, nan=-9999).astype("f4").transpose(1, 2, 0)),
        ("MASK", "mask", mask),
    ):
        with h5py.File(folder / f"EMIT_L2A_{kind}_001_{stamp}.nc", "w") as file:
            put(file, **{name: data})
            put(file.create_group("location"), lon=lon, lat=lat, glt_x=(sample + 1) * hit, glt_y=(line + 1) * hit)
            parameters = file.create_group("sensor_band_parameters")
            if kind == "RFL":
                put(parameters, wavelengths=nm, fwhm=np.full(60, 30.0), good_wavelengths=good.astype("u1"))
            file.attrs["geotransform"], file.attrs["spatial_ref"] = (
                [west, step, 0, north, 0, -step],
                CRS.from_epsg(4326).to_wkt(),
            )
    return path


def landsat(folder: Path, land: Landscape, meta: str = "txt") -> Path:
    """Landsat 8 Collection 2 Level 2 with its MTL as txt, xml or json; a cloud, an empty corner."""
    name, side, place = "LC08_L2SP_193023_20240616_20240621_02_T1", 48, on_map(30)
    base, cloud, empty = (
        folder / name / name,
        disc(30, (side, side), (1150, 260), 110),
        disc(30, (side, side), (0, 0), 120),
    )
    table = {1: (443, 16), 2: (482, 60), 3: (561, 57), 4: (655, 37), 5: (865, 28), 6: (1609, 85), 7: (2201, 187)}
    for band, (nm, width) in table.items():
        values = np.where(cloud, CLOUD, land.seen(place, (side, side), np.array([float(nm)]), width)[0])
        write_raster(
            Path(f"{base}_SR_B{band}.TIF"), (np.round((values + 0.2) / 2.75e-5) * ~empty).astype("u2"), place, 0
        )
    qa = np.where(empty, 1, np.where(cloud, 0b0101010111001000, 0b0101010101000000)).astype("u2")
    write_raster(Path(f"{base}_QA_PIXEL.TIF"), qa, place, 1)
    write_raster(Path(f"{base}_ST_B10.TIF"), np.full((side, side), 44000, "u2"), place, 0)
    group = {
        f"REFLECTANCE_{kind}_BAND_{band}": value
        for kind, value in (("MULT", "2.75e-05"), ("ADD", "-0.2"))
        for band in table
    }
    first = {
        f"REFLECTANCE_{kind}_BAND_{band}": value
        for kind, value in (("MULT", "2.0000E-05"), ("ADD", "-0.1"))
        for band in table
    }
    groups = {"LEVEL1_RADIOMETRIC_RESCALING": first, "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": group}
    if meta == "json":
        text = json.dumps({"LANDSAT_METADATA_FILE": groups})
    elif meta == "xml":
        text = tags(LANDSAT_METADATA_FILE=tags(**{name: tags(**rows) for name, rows in groups.items()}))
    else:
        rows = {
            name: "".join(f"    {key} = {value}\n" for key, value in listed.items()) for name, listed in groups.items()
        }
        text = "".join(f"  GROUP = {name}\n{lines}  END_GROUP = {name}\n" for name, lines in rows.items())
    Path(f"{base}_MTL.{meta}").write_text(text)
    return folder / name


def hls(folder: Path, land: Landscape) -> Path:
    """HLS v2 of Sentinel-2: three of its bands, its Fmask."""
    name, side, place = "HLS.S30.T33UUU.2024168T101031.v2.0", 48, on_map(30)
    cloud = disc(30, (side, side), (1150, 260), 110)
    for band in ("B02", "B04", "B11"):
        nm, width, _ = S2[band]
        values = np.where(cloud, CLOUD, land.seen(place, (side, side), np.array([nm]), width)[0])
        write_raster(folder / name / f"{name}.{band}.tif", np.round(values * 10000).astype("i2"), place, -9999)
    write_raster(folder / name / f"{name}.Fmask.tif", np.where(cloud, 0b11000010, 0b11000000).astype("u1"), place, 255)
    return folder / name


def desis(folder: Path, land: Landscape) -> Path:
    """DESIS L2A, 30 of 235 bands; a cloud over land in the sixth band of its quality image."""
    name, side, place, nm = (
        "DESIS-HSI-L2A-DT0000000001_003-20240615T101000-V0220",
        24,
        on_map(30, 255, 285),
        np.linspace(402, 999, 30),
    )
    cloud = disc(30, (side, side), (135, 465), 60)
    base, numbers = folder / name / name, np.round(land.seen(place, (side, side), nm, 3.5) * 10000).astype("i2")
    numbers[:, cloud] = CLOUD * 10000
    write_raster(Path(f"{base}-SPECTRAL_IMAGE.tif"), numbers, place, -32768, interleave="pixel")
    quality = np.zeros((8, side, side), "u1")
    quality[1], quality[5] = ~cloud, cloud
    write_raster(Path(f"{base}-QL_QUALITY-2.tif"), quality, place)
    Path(f"{base}-SPECTRAL_IMAGE.hdr").write_text("ENVI\nfile type = TIFF\n")
    rows = (tags(wavelengthCenterOfBand=w, wavelengthWidthOfBand=3.5, gainOfBand=0.0001, offsetOfBand=0) for w in nm)
    bands = tags(bandCharacterisation="".join(f"<band>{row}</band>" for row in rows))
    Path(f"{base}-METADATA.xml").write_text(tags(hsi_doc=tags(processingLevel="L2A", specific=bands)))
    return folder / name


def tanager(folder: Path, land: Landscape, kind: str = "GRIDS") -> Path:
    """Tanager's surface reflectance, on the map or as a swath, 30 bands; a cloud."""
    side, nm = 24, np.linspace(381, 2499, 30)
    place = on_map(30, 330, 390) if kind == "GRIDS" else in_orbit(30, side)
    path = folder / f"20240615_101500_00_4001_{'ortho' if kind == 'GRIDS' else 'basic'}_sr_hdf5.h5"
    with h5py.File(path, "w") as file:
        root = file.create_group(f"HDFEOS/{kind}/HYP")
        values = np.nan_to_num(land.seen(place, (side, side), nm, 6.0), nan=-9999).astype("f4")
        cloud = disc(30, (side, side), (345, 165), 40).astype("u1")
        put(root, **{"Data Fields/surface_reflectance": values, "Data Fields/beta_cloud_mask": cloud})
        root["Data Fields/surface_reflectance"].attrs.update(
            {"wavelengths": nm, "fwhm": np.full(30, 6.0), "_FillValue": -9999.0}
        )
        lon, lat = centres(place, (side, side))
        put(root, **{"Geolocation Fields/Longitude": lon, "Geolocation Fields/Latitude": lat})
        root.attrs["epsg_code"] = EPSG
        corners = [f"({x:.6f},{y:.6f})" for x, y in (place @ (0, 0), place @ (side, side))]
        text = f"XDim={side}\n\t\tYDim={side}\n\t\tUpperLeftPointMtrs={corners[0]}\n\t\tLowerRightMtrs={corners[1]}\n"
        file.create_dataset("HDFEOS INFORMATION/StructMetadata.0", data=np.bytes_(text))
    return path


def neon(folder: Path, land: Landscape) -> Path:
    """A NEON tile of pixels of 5 m, 30 bands."""
    side, nm, place = 32, np.linspace(383, 2512, 30), on_map(5, 400, 400)
    path = folder / "NEON_D01_HARV_DP3_368000_5810000_reflectance.h5"
    with h5py.File(path, "w") as file:
        root = file.create_group("HARV/Reflectance")
        put(
            root,
            Reflectance_Data=np.round(land.seen(place, (side, side), nm, 6.0) * 10000).astype("i2").transpose(1, 2, 0),
        )
        root["Reflectance_Data"].attrs.update({"Scale_Factor": 10000.0, "Data_Ignore_Value": -9999.0})
        put(root, **{"Metadata/Spectral_Data/Wavelength": nm, "Metadata/Spectral_Data/FWHM": np.full(30, 6.0)})
        info = f"UTM,1.000,1.000,{place.c:.2f},{place.f:.2f},5.0,5.0,33,North,WGS-84,units=Meters, 0"
        system = {"Map_Info": np.bytes_(info), "EPSG Code": np.bytes_(str(EPSG))}
        put(root, **{f"Metadata/Coordinate_System/{name}": value for name, value in system.items()})
    return path


def aviris3(folder: Path, land: Landscape) -> Path:
    """AVIRIS-3 L2A of pixels of 5 m, 30 bands."""
    side, nm, place = 32, np.linspace(390, 2494, 30), on_map(5, 300, 300)
    path = folder / "AV320240615t101500_003_L2A_OE_0b4f48b4_RFL_ORT.nc"
    with h5py.File(path, "w") as file:
        offsets = 5.0 * (np.arange(side) + 0.5)
        put(file, easting=place.c + offsets, northing=place.f - offsets, transverse_mercator=np.bytes_(b""))
        file["transverse_mercator"].attrs["crs_wkt"] = CRS.from_epsg(EPSG).to_wkt()
        put(file, **{"reflectance/reflectance": land.seen(place, (side, side), nm, 8.0).astype("f4")})
        put(file, **{"reflectance/wavelength": nm, "reflectance/fwhm": np.full(30, 8.0)})
        file["reflectance/reflectance"].attrs.update({"_FillValue": -9999.0, "grid_mapping": "transverse_mercator"})
    return path


def planet(folder: Path, land: Landscape) -> Path:
    """A SuperDove's surface reflectance with its UDM2: a cloud, an empty corner."""
    table = {"coastal_blue": (443, 20), "blue": (490, 50), "green_i": (531, 36), "green": (565, 36)}
    table |= {"yellow": (610, 20), "red": (665, 31), "rededge": (705, 15), "nir": (865, 40)}
    side, place = 80, on_map(5)
    nm, width = np.array(list(table.values()), float).T
    numbers, cloud = np.round(land.seen(place, (side, side), nm, width) * 10000), disc(5, (side, side), (250, 250), 60)
    numbers[:, cloud], numbers[:, :10, :10] = CLOUD * 10000, 0
    base = folder / "20240615_101500_12_24aa_3B"
    udm2 = np.zeros((8, side, side), "u1")
    udm2[0], udm2[5] = ~cloud, cloud
    write_raster(Path(f"{base}_udm2_8b.tif"), udm2, place)
    return write_raster(Path(f"{base}_AnalyticMS_SR_8b.tif"), numbers.astype("u2"), place, 0)


def wyvern(folder: Path, land: Landscape) -> Path:
    """Wyvern's radiance, here a number that is not: nine bands with tags in mixed case."""
    nm, place = np.linspace(503, 799, 9), on_map(5)
    path = folder / "wyvern_dragonette-001_20240615T101500_1a2b3c4d.tiff"
    write_raster(path, land.seen(place, (40, 40), nm, 22.0).astype("f4"), place, np.nan)
    with rasterio.open(path, "r+") as file:
        for band, centre in enumerate(nm, 1):
            file.update_tags(band, wavelength=f"{centre:g}", FWHM="22.0", wavelength_units="nm")
    return path


def worldview(folder: Path, land: Landscape) -> Path:
    """WorldView-3: blue, green and red as plain numbers, an IMD."""
    place, path = on_map(2.5), folder / "24JUN15101500-M2AS-012345678010_01_P001.TIF"
    values = land.seen(place, (40, 40), np.array([478.0, 546, 659]), 60.0)
    write_raster(path, np.round(values * 4000).astype("u2"), place)
    row = "BEGIN_GROUP = BAND_{}\n\tabsCalFactor = 0.01;\n\teffectiveBandwidth = 0.05;\nEND_GROUP = BAND_{}\n"
    text = (
        "".join(row.format(band, band) for band in "BGR")
        + 'BEGIN_GROUP = IMAGE_1\n\tsatId = "WV03";\nEND_GROUP = IMAGE_1\n'
    )
    path.with_suffix(".IMD").write_text(text)
    return path


def pleiades(folder: Path, land: Landscape, kind: str = "REFLECTANCE") -> Path:
    """Pléiades 1B, four bands in the order red, green, blue, infrared; an empty corner."""
    side, place, stem = 80, on_map(2.5, 300, 300), "PHR1B_MS_202406151015000_ORT_1234567-001"
    order = {"B2": 645, "B1": 555, "B0": 487.5, "B3": 835}
    width = {"B2": 80, "B1": 80, "B0": 85, "B3": 130}
    gain = 10000.0 if kind == "REFLECTANCE" else 9.5
    values = np.concatenate(
        [land.seen(place, (side, side), np.array([float(nm)]), width[band]) for band, nm in order.items()]
    )
    numbers = np.round(values * gain * (1 if kind == "REFLECTANCE" else 100)).astype("u2")
    numbers[:, :10, :10] = 0
    write_raster(folder / f"IMG_{stem}_R1C1.TIF", numbers, place)
    indices = "".join(
        f"<Raster_Index>{tags(BAND_ID=band, BAND_INDEX=i)}</Raster_Index>" for i, band in enumerate(order, 1)
    )
    measured = "Band_Reflectance" if kind == "REFLECTANCE" else "Band_Radiance"
    gains = "".join(f"<{measured}>{tags(BAND_ID=band, GAIN=gain, BIAS=0)}</{measured}>" for band in order)
    source = tags(Source_Identification=tags(MISSION="PHR", MISSION_INDEX="1B"))
    data = f'<Data_File tile_R="1" tile_C="1"><DATA_FILE_PATH href="IMG_{stem}_R1C1.TIF"/></Data_File>'
    empty = tags(Special_Value=tags(SPECIAL_VALUE_TEXT="NODATA", SPECIAL_VALUE_COUNT=0))
    text = f"<Dimap_Document>{source}{tags(RADIOMETRIC_PROCESSING=kind)}{data}{indices}{gains}{empty}</Dimap_Document>"
    (folder / f"DIM_{stem}.XML").write_text(text)
    return folder / f"DIM_{stem}.XML"


def hyperion(folder: Path, land: Landscape) -> Path:
    """Hyperion L1T: three of its bands, of which one is not calibrated."""
    place, name = on_map(30, 300, 300), "EO1H1930232008014110KF"
    for band in (3, 20, 150):
        numbers = np.round(land.seen(place, (24, 24), np.array([600.0]), 10.0)[0] * 4000).astype("i2")
        write_raster(folder / f"{name}_1T" / f"{name}_B{band:03d}_L1T.TIF", numbers, place, 0)
    return folder / f"{name}_1T"


def drone(folder: Path, land: Landscape) -> tuple[Path, Path]:
    """A drone's mosaics, as ENVI with 46 bands, reflectance times 10,000, and as 8-bit RGB with tone curve and alpha.

    The ground is what the landscape has, so a pixel of 4 cm is 20 m here.
    """
    side, nm, place, fine = 48, np.linspace(450, 900, 46), on_map(20, 220, 250), on_map(5, 205, 235)
    numbers = np.round(land.seen(place, (side, side), nm, 8.0) * 10000).astype("u2")
    numbers[:, np.tri(side, side, -44, dtype=bool)] = 0
    path, listed = folder / "DRONE.img", ", ".join(f"{centre:g}" for centre in nm)
    write_raster(path, numbers, place, driver="ENVI", interleave="bil")
    header = path.with_suffix(".hdr").read_text()
    more = f"wavelength units = Nanometers\nwavelength = {{{listed}}}\nreflectance scale factor = 10000\n"
    path.with_suffix(".hdr").write_text(f"{header}{more}data ignore value = 0\n")
    n = 4 * side + 8
    light = np.clip(land.seen(fine, (n, n), np.array([610.0, 540, 465]), 80.0) * 2.2, 0, 1)
    curved = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    opaque = np.full((1, n, n), 255)
    opaque[:, :12, :12] = 0
    rgba = np.concatenate([np.round(curved * 255) * (opaque > 0), opaque]).astype("u1")
    return path, write_raster(folder / "RGB.tif", rgba, fine, photometric="RGB", ALPHA="YES")
