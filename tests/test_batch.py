"""Many pairs: which they are, sensors estimated once, what fails alone, what is kept, the exit code."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from docs_inputs import satellite_pair
from hypersharp.batch import sensors
from hypersharp.batch.pairs import PairFiles, find_pairs
from hypersharp.batch.run import Row, told_of_sensors
from hypersharp.cli import main
from hypersharp.cube import transform_of
from hypersharp.errors import InputError
from hypersharp.io import open_cube, save_cube
from hypersharp.pair import place
from hypersharp.pair.record import Record
from test_cli import Ran


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders one, two and three: parts of a scene by the same sensors, the ms of the second 4 m further east."""
    root, (hs, ms) = tmp_path_factory.mktemp("scenes"), satellite_pair()
    for number, name in enumerate(("one", "two", "three")):
        (root / name).mkdir()
        rows = slice(3 * number, 3 * number + 15)
        fine = ms[:, 9 * number : 9 * number + 45]
        if name == "two":
            place = transform_of(fine)
            fine = fine.rio.write_transform(place.translation(4, 0) @ place)
        save_cube(hs[:, rows], root / name / "hs.tif")
        save_cube(fine, root / name / "ms.tif")
    return root


def call(capsys: pytest.CaptureFixture[str], *words: object) -> Ran:
    with pytest.raises(SystemExit) as stop:
        main(["batch", *map(str, words)])
    return Ran(int(str(stop.value.code)), *capsys.readouterr())


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    with (out / "summary.csv").open() as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_folders_share_a_sensor_and_are_placed_each(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    estimated, estimate = list[Path](), sensors.estimate_of

    def counted(pair: sensors.Pair, hs: Path) -> str | None:
        estimated.append(hs)
        return estimate(pair, hs)

    placed, place_once = list[str](), place.place

    def counted_place(*images: Any, **chosen: Any) -> place.Placement:
        placed.append(str(images[0].path))
        return place_once(*images, **chosen)

    monkeypatch.setattr(sensors, "estimate_of", counted)
    monkeypatch.setattr(place, "place", counted_place)
    out = tmp_path / "out"
    done = call(capsys, scenes / "*", "-o", out, "--method", "gsa")
    assert done.code == 0, done.err + done.out
    assert len(estimated) == 1
    assert len(placed) == 3 == len(set(placed))
    rows = rows_of(out)
    assert {row["status"] for row in rows.values()} == {"done"}
    assert len({row["sensors"] for row in rows.values()}) == 1
    assert (out / "index.html").read_text().count("<img") == 9
    assert "3 done, 0 failed" in done.out
    records = {name: Record.of(open_cube(out / f"{name}.tif")) for name in rows}
    centres = {name: record.known_sensor().psf.centre_yx()[1] for name, record in records.items()}  # type: ignore[union-attr]
    assert centres["two"] == pytest.approx(centres["one"], abs=0.05)  # as the images show, not the georeferences
    again = call(capsys, scenes / "*", "-o", out, "--method", "gsa")
    assert again.out.count("kept") == 3
    other = call(capsys, scenes / "one", "-o", out, "--method", "bicubic")
    assert "kept" not in other.out
    words = ["fuse", *(str(scenes / "three" / f"{name}.tif") for name in ("hs", "ms"))]
    with pytest.raises(SystemExit):
        main([*words, "-o", str(tmp_path / "alone.tif"), "--method", "gsa"])
    alone, shared = open_cube(tmp_path / "alone.tif").values, open_cube(out / "three.tif").values
    assert np.nanmean(abs(alone - shared)) < 0.02 * np.nanmean(alone)


def test_a_pair_that_fails_leaves_the_others_alone(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["name,hs,ms", "good,one/hs.tif,one/ms.tif", "gone,no.tif,one/ms.tif", "swapped,one/ms.tif,one/hs.tif", ""]
    table, out = scenes / "pairs.csv", tmp_path / "out"
    table.write_text("\n".join(lines))
    done = call(capsys, table, "-o", out, "--method", "bicubic", "--format", "nc")
    assert done.code == 2
    rows = rows_of(out)
    assert [row["status"] for row in rows.values()] == ["done", "failed", "failed"]
    assert "no.tif" in rows["gone"]["error"]
    assert "found" in rows["swapped"]["error"]
    assert not rows["good"]["sensors"]
    assert {path.name for path in out.glob("*.nc")} == {"good.nc"}
    page = (out / "index.html").read_text()
    assert page.index("swapped") < page.index("good.nc")
    assert not json.loads((out / ".batch" / "good.json").read_text())["row"]["error"]


def test_more_failures_than_an_exit_code_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("name,hs,ms\n" + "".join(f"p{number},no.tif,none.tif\n" for number in range(130)))
    assert call(capsys, table, "-o", tmp_path / "out").code == 100


def test_names_come_from_what_differs(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("\ufeffHS;MS;sensors\na/hs.tif;a/ms.tif;\nb/hs.tif;b/ms.tif;later\nc/other.tif;c/ms.tif\n\n")
    assert find_pairs([table]) == [
        PairFiles("a-hs", tmp_path / "a/hs.tif", tmp_path / "a/ms.tif"),
        PairFiles("b-hs", tmp_path / "b/hs.tif", tmp_path / "b/ms.tif", sensors="later"),
        PairFiles("other", tmp_path / "c/other.tif", tmp_path / "c/ms.tif"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.tif,b.tif\n", "did you mean|column"),
        ("name,hs\nx,a.tif\n", "heading"),
        ("hs,ms\na.tif,\n", "line 2"),
        ("hs,ms\n", "no pair"),
        ("name,hs,ms\nx,a,b\nx,c,d\n", "2 pairs named x"),
        ("name,hs,ms\n../x,a,b\n", "slashes"),
        ("name,hs,ms\n.x,a,b\n", "slashes"),
        ("hs,ms,sensor\na,b,c\n", "sensors"),
        ("hs,ms,sensors\na,b,EnMAP/S2\n", "the sensors 'EnMAP/S2' in line 2.*slashes"),
    ],
)
def test_tables_that_name_no_pairs(tmp_path: Path, text: str, words: str) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=words):
        find_pairs([table])


def test_folders_and_files_that_are_no_pairs(tmp_path: Path, scenes: Path) -> None:
    with pytest.raises(InputError, match="none for hs"):
        find_pairs([tmp_path])
    with pytest.raises(InputError, match="no pair in"):
        find_pairs([tmp_path / "no*"])
    with pytest.raises(InputError, match="hypersharp fuse"):
        find_pairs([scenes / "one" / "hs.tif"])
    with pytest.raises(InputError, match=r"pairs\.csv"):
        find_pairs([tmp_path / "pairs.csv"])


def test_a_folder_of_envi_files_with_previews(tmp_path: Path) -> None:
    for name in ("hs.hdr", "hs.img", "hs.png", "ms.tif", "MS.tif.aux.xml"):
        (tmp_path / name).touch()
    (pair,) = find_pairs([tmp_path])
    assert (pair.hs.name, pair.ms.name) == ("hs.img", "ms.tif")


def test_a_result_in_another_format_does_not_vouch_for_the_first(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (scenes / "one", "-o", tmp_path, "--method", "bicubic")
    formats = "tif", "npy", "tif", "tif"
    kept = ["kept" in call(capsys, *words, "--format", name).out for name in formats]
    assert kept == [False, False, False, True]


def test_what_a_changed_mask_header_or_folder_makes_of_a_pair_is_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hs, ms = satellite_pair()
    mask, table = np.zeros((1, *ms.shape[1:]), "u1"), tmp_path / "pairs.csv"
    for name, cube in (("hs.img", hs), ("ms.zarr", ms), ("mask.tif", ms[:1].copy(data=mask))):
        save_cube(cube, tmp_path / name)
    table.write_text("hs,ms\nhs.img,ms.zarr\n")
    words = table, "-o", tmp_path / "out", "--method", "bicubic", "--mask", tmp_path / "mask.tif"

    def is_kept() -> bool:
        done = call(capsys, *words)
        assert done.code == 0, done.err + done.out
        return "kept" in done.out

    assert [is_kept(), is_kept()] == [False, True]
    save_cube(ms[:1].copy(data=mask + (np.arange(mask.shape[2]) < 9)), tmp_path / "mask.tif")
    assert not is_kept()
    assert np.isnan(open_cube(tmp_path / "out" / "hs.tif").values[:, :, :9]).all()
    header = tmp_path / "hs.hdr"
    header.write_text(header.read_text().replace("wavelength = {", "wavelength = {9"))
    assert not is_kept()
    deepest = max(tmp_path.glob("ms.zarr/**/*"), key=lambda path: len(path.parts))
    deepest.touch()
    assert [is_kept(), is_kept()] == [False, True]
    place = tmp_path / "mask.tif.aux.xml"
    looked_at = "<MDI key='STATISTICS_MAXIMUM'>1</MDI>"
    told = "<PAMDataset>{}<PAMRasterBand band='1'><Metadata>{}</Metadata></PAMRasterBand></PAMDataset>"
    place.write_text(told.format("", looked_at))  # by a GIS that showed the image
    assert is_kept()
    place.write_text(told.format("<SRS>EPSG:32633</SRS>", looked_at))
    assert [is_kept(), is_kept()] == [False, True]
    (tmp_path / "mask.tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    assert [is_kept(), is_kept()] == [False, True]


def test_a_result_that_was_cut_or_taken_away_is_made_again(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def is_kept() -> bool:
        done = call(capsys, scenes / "one", "-o", tmp_path, "--method", "bicubic", "--format", "img")
        assert done.code == 0, done.err + done.out
        return "kept" in done.out

    assert [is_kept(), is_kept()] == [False, True]
    (tmp_path / "one.img.aux.xml").write_text("<PAMDataset></PAMDataset>")  # of a GIS
    assert is_kept()
    (tmp_path / "one.img").write_bytes(b"")
    assert [is_kept(), is_kept()] == [False, True]
    (tmp_path / "one.hdr").unlink()
    assert [is_kept(), is_kept()] == [False, True]


def test_the_page_tells_how_many_pairs_had_which_sensor() -> None:
    words = [("done", "a"), ("done", "a"), ("done", "b"), ("done", "its own"), ("done", "given"), ("done", "")]
    rows = [Row(str(number), status, "", "", "", sensors=name) for number, (status, name) in enumerate(words)]
    failed = Row("6", "failed", "", "", "")
    told = "shared by 3 pairs; 1 pair with its own; 1 pair as given; 1 pair without, for none was needed"
    assert told_of_sensors([*rows, failed]) == ("2", told)
    assert told_of_sensors([*rows[4:5] * 2, failed]) == ("none", "shared; 2 pairs as given")


def test_a_format_that_there_is_not_is_one_line(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = call(capsys, scenes / "one", "-o", tmp_path, "--format", "docx")
    assert done.code == 2 and done.err.startswith("error: found the output") and done.err.count("\n") == 1


def test_a_pair_that_the_shared_sensor_does_not_explain_has_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hs, ms = satellite_pair()
    plain = ms.drop_vars(["wavelength", "fwhm"], errors="ignore")  # of which no one can tell the order
    for name, fine in (("one", plain), ("two", plain[::-1].assign_coords(band=plain.band.values))):
        (tmp_path / name).mkdir()
        save_cube(hs, tmp_path / name / "hs.npz")
        save_cube(fine, tmp_path / name / "ms.npz")
    done = call(capsys, tmp_path / "one", tmp_path / "two", "-o", tmp_path / "out", "--method", "hysure")
    assert done.code == 0, done.err + done.out
    rows = rows_of(tmp_path / "out")
    assert rows["two"]["sensors"] == "its own" != rows["one"]["sensors"]
