"""What `doctor` says: libraries by extra, what is wrong and what to do, as text and as JSON."""

import json
import tomllib
from pathlib import Path

import pytest

from hypersharp.cli import doctor, main
from hypersharp.networks.packaged import packaged_weights

EXTRAS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def called(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(["doctor", *words])
    return int(str(stop.value.code)), capsys.readouterr().out


def test_what_is_installed_here(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = called(capsys, "--json")
    found = json.loads(out)
    assert code == 0, found["wrong"]
    assert set(found["extras"]) == {"", *EXTRAS}
    assert set(found["extras_complete"]) == set(EXTRAS)
    assert {"torch", "numpy"} <= {need["library"] for need in found["extras"][""]}
    assert {"rasterio", "matplotlib", "tensorly"} <= {need["library"] for need in found["extras"]["demo"]}
    assert found["weights"] == list(packaged_weights())
    assert all(value > 0 for value in found["speed"].values())
    assert found["gdal"]["jpeg2000"]


def test_what_is_missing_or_too_old(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "numpy>=99",
        "no-such-library",
        'rasterio>=1.3.9; extra == "geo"',
        'hypersharp[geo]; extra == "view"',
        "nothing-here<2,>=1; extra == 'view'",
    ]
    monkeypatch.setattr(doctor, "requires", lambda _: lines)
    code, out = called(capsys, "--no-speed")
    assert code == 1
    assert "Speed" not in out
    assert "wrong: numpy" in out
    assert "wrong: no-such-library is missing" in out
    assert "nothing-here<2,>=1" in out
    assert "to do: pip install 'hypersharp[view]'" in out
    assert "pip install 'hypersharp[geo]'" not in out


def test_a_cache_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HYPERSHARP_CACHE", str(tmp_path / "file" / "cache"))
    code, out = called(capsys, "--no-speed")
    assert code == 1
    assert "cannot be written" in out


@pytest.mark.parametrize(
    ("found", "bounds", "fits"),
    [
        ("1.26.0", ">=1.26", True),
        ("1.9", ">=1.26", False),
        ("3.9", ">=3.9,<4", True),
        ("4.0", ">=3.9,<4", False),
        ("2.13.0+cpu", ">=2.6,<3", True),
        ("5", "", True),
        ("2026.8.0", ">=2024.1", True),
    ],
)
def test_bounds_of_versions(found: str, bounds: str, fits: bool) -> None:
    assert doctor.is_met(found, bounds) == fits
