"""The command line: verbs, exit codes, one line per error, nothing half written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from hypersharp.cli import main
from hypersharp.cli.options import Reading
from hypersharp.cube import make_cube
from hypersharp.io import open_cube, save_cube
from hypersharp.methods.table import METHODS
from hypersharp.networks.checkpoint import build_network, save_weights
from hypersharp.networks.header import WeightsHeader
from hypersharp.sensor.psf import gaussian

NM = np.arange(400.0, 701.0, 10)
BANDS, RATIO, SIDE = 31, 4, 32
LATER_VERBS: tuple[str, ...] = ()


class Ran:
    """What a call left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def call(*words: object) -> Ran:
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        assert isinstance(stop.value.code, int)
        return Ran(stop.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """scene.tif, hs.tif and ms.tif (a pair), hs.npy and ms.npy (without wavelengths)."""
    truth = np.random.default_rng(0).uniform(0.1, 0.9, (BANDS, SIDE, SIDE)).astype(np.float32)
    hs = truth.reshape(BANDS, SIDE // RATIO, RATIO, SIDE // RATIO, RATIO).mean((2, 4))
    save_cube(make_cube(truth, wavelengths_nm=NM), tmp_path / "scene.tif")
    for suffix in ("tif", "npy"):
        save_cube(make_cube(hs, wavelengths_nm=NM), tmp_path / f"hs.{suffix}")
        save_cube(make_cube(truth[[25, 15, 5]], wavelengths_nm=NM[[25, 15, 5]]), tmp_path / f"ms.{suffix}")
    return tmp_path


@pytest.fixture
def tiny_weights(tmp_path: Path) -> Path:
    """A network that starts at bicubic and has learnt nothing yet."""
    torch.manual_seed(0)
    options = {"bands": BANDS, "ms_bands": 3, "ratio": RATIO, "features": 4, "iterations": 1, "zero_init": True}
    path = tmp_path / "tiny.safetensors"
    save_weights(path, build_network("ssjcn", options), WeightsHeader("ssjcn", options, tuple(NM)))
    return path


def test_help_lists_the_verbs_there_are(run) -> None:
    shown = run("--help")
    assert shown.code == 0
    verbs = (
        "fuse",
        "align",
        "estimate",
        "simulate",
        "evaluate",
        "train",
        "adapt",
        "bench",
        "demo",
        "export",
        "view",
        "methods",
        "weights",
        "sensors",
        "protocols",
        "scenes",
    )
    assert all(f" {verb} " in shown.out for verb in verbs)
    assert not any(f" {verb} " in shown.out for verb in LATER_VERBS)


def test_version(run) -> None:
    assert run("--version").out == "0.1.0\n"


@pytest.mark.parametrize("verb", ["methods", "weights", "sensors", "protocols"])
def test_lists_name_what_there_is(run, verb: str) -> None:
    shown = run(verb)
    assert shown.code == 0
    expected = {"methods": METHODS, "weights": ["network"], "sensors": ["nikon-d700"], "protocols": ["dian-x4"]}
    assert all(name in shown.out for name in expected[verb])


@pytest.mark.parametrize(
    "call",
    [
        "fuse hs.tif",
        "fuse hs.tif ms.tif",
        "fuse hs.tif ms.tif -o out.tif --mode whole-ish",
        "fuse hs.tif ms.tif -o out.tif --ratio four",
        "fuse hs.tif ms.tif -o out.xyz",
        "fuse hs.tif ms.tif -o out.tif --device abacus",
        "simulate scene.tif -o pair",
        "simulate scene.tif -o pair --ratio 4 --protocol dian-x4",
        "simulate scene.tif -o pair --protocol dian-x4 --psf box",
        "evaluate scene.tif scene.tif",
        "evaluate scene.tif scene.tif --ratio 4 --peak 0",
        "estimate hs.tif ms.tif",
        "--fast",
    ],
)
def test_a_wrong_call_exits_2(
    run, folder: Path, monkeypatch: pytest.MonkeyPatch, tiny_weights: Path, call: str
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.iterdir())
    words = call.split() + (["--weights", str(tiny_weights)] if call.startswith("fuse hs.tif ms") else [])
    ran = run(*words)
    assert ran.code == 2
    assert ran.err
    assert "Traceback" not in ran.err
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("fuse hs ms -o c.tif --mode nope", "--mode 'nope', expected one of patches, tiles, whole, do: did you mean"),
        ("--guard x fuse", "--guard 'x', expected one of all, none, risky, do: "),
        ("fuse hs ms -o c.tif --ratio=four", "--ratio four, expected a whole number, do: see `hypersharp fuse -h`"),
        ("fuse hs ms -o c.tif --tile 3", "--tile 3, expected a number greater than or equal to 16, do: "),
        ("fuse hs ms", "`hypersharp fuse` without --out, expected --out: Sharp image to write"),
        ("fuse", "`hypersharp fuse` without HS, expected HS: Low-resolution hyperspectral image, do: add it"),
        ("fuse hs ms -o", "-o without a value, expected one behind it, do: add it"),
        ("fuse hs ms -o c.tif --resume=3", "--resume with a value, expected none, do: leave it out"),
        ("fuse hs ms -o c.tif --metod gsa", "the option --metod, .*did you mean --method"),
        (
            "fuse hs ms my file -o c.tif",
            "more words than `hypersharp fuse` takes: my file, expected .*HS MS, do: .*quotes",
        ),
        ("fuze hs ms", "the verb 'fuze', expected one of .*fuse.*, do: did you mean fuse"),
    ],
)
def test_a_call_that_cannot_be_read_is_one_line_of_our_form(run, call: str, words: str) -> None:
    ran = run(*call.split())
    assert ran.code == 2
    assert re.fullmatch(f"error: found {words}.*\n", ran.err)
    assert not ran.out


@pytest.mark.parametrize(
    "call",
    [
        "fuse no.tif ms.tif -o c.tif",
        "fuse hs.tif no.tif -o c.tif",
        "fuse hs.tif no.tif:pan -o c.tif",
        "fuse hs.tif ms.tif -o c.tif --report r --truth no.tif",
        "align hs.tif no.tif -o out",
        "adapt no.tif ms.tif -o w.safetensors",
        "simulate no.tif -o out --ratio 4",
        "evaluate no.tif hs.tif --ratio 4",
        "report no.tif --hs hs.tif --ms ms.tif -o out",
    ],
)
def test_a_wrong_name_is_told_before_torch_is_loaded(call: str, folder: Path) -> None:
    program = (
        "import sys; from hypersharp.cli import main\n"
        f"try: main({call.split()})\n"
        "except SystemExit as stop: print(stop.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"
    assert done.stderr == "error: found no file no.tif, expected an existing image, do: check the path\n"


def spoilt(folder: Path) -> None:
    """Files that cannot be used, beside the good ones."""
    whole = (folder / "hs.tif").read_bytes()
    (folder / "truncated.tif").write_bytes(whole[: len(whole) // 2])
    nothing, wild = np.full((BANDS, 8, 8), np.nan, np.float32), np.ones((BANDS, 8, 8), np.float32)
    wild[3, 2, 1] = np.inf
    save_cube(make_cube(nothing), folder / "nan.npy")
    save_cube(make_cube(wild), folder / "inf.npy")
    save_cube(make_cube(np.ones((BANDS, 7, 8), np.float32)), folder / "odd.npy")
    save_cube(make_cube(np.ones((40, 8, 8), np.float32)), folder / "forty.npy")
    np.save(folder / "pickled.npy", np.array([{"no": "cube"}]), allow_pickle=True)
    (folder / "bad.safetensors").write_bytes(b"not safetensors")
    sensor = {"ratio": 4, "psf": gaussian(200, 30.0, 4).to_dict(), "srf": np.ones((3, BANDS)).tolist()}
    (folder / "wide.json").write_text(json.dumps(sensor))
    (folder / "bad.yaml").write_text("name: [")
    (folder / "typo.yaml").write_text("name: a\nprotocol: dian-x4\nlearnin_rate: 1\n")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("fuse missing.tif ms.tif -o out.tif", "missing.tif"),
        ("fuse truncated.tif ms.tif -o out.tif", "truncated.tif"),
        ("fuse pickled.npy ms.tif -o out.tif", "pickled.npy"),
        ("fuse ms.tif hs.tif -o out.tif", "hs"),
        ("fuse odd.npy ms.npy -o out.npy", "ratio"),
        ("fuse nan.npy ms.npy -o out.npy", "finite"),
        ("fuse inf.npy ms.npy -o out.npy", "infinite"),
        ("fuse forty.npy ms.npy -o out.npy", "constants"),
        ("fuse hs.tif ms.tif -o no/such/folder/out.tif", "folder"),
        ("fuse hs.tif ms.tif -o out.tif --method bicubik", "bicubic"),
        ("fuse hs.tif ms.tif -o out.tif --method bicubic --ratio 5", "ratio"),
        ("fuse hs.tif ms.tif -o out.tif --weights bad.safetensors", "safetensors"),
        ("fuse hs.tif ms.tif -o out.tif --weights best", "weights"),
        ("simulate scene.tif -o pair --protocol dian-x5", "dian-x4"),
        ("simulate scene.tif -o pair --ratio 4 --psf blob", "blob"),
        ("simulate scene.tif -o pair --ratio 4 --psf fwhm:4500", "the image's 32"),
        ("fuse hs.tif ms.tif -o out.tif --method gsa --psf fwhm:4500", "the image's 32"),
        ("fuse hs.tif ms.tif -o out.tif --method gsa --sensor wide.json", "the image's 32"),
        ("estimate hs.tif ms.tif -o s.json --psf gaussian:200:30", "the image's 32"),
        ("simulate scene.tif -o pair --ratio 4 --srf nikon-d7000", "nikon-d700"),
        ("evaluate hs.tif scene.tif --ratio 4", "shape"),
        ("evaluate scene.tif scene.tif --ratio 4 --preset diann", "dian"),
        ("bench dian-x4 --data . -o rows", "cave"),
        ("bench dian-x4 --data . -o rows --methods ssjcm", "ssjcn"),
        ("bench dian-x4 --data . -o rows --scenes painted", "paints"),
        ("train missing.yaml --data . -o run", "missing.yaml"),
        ("train bad.yaml --data . -o run", "YAML"),
        ("train typo.yaml --data . -o run", "learnin_rate"),
    ],
)
def test_a_wrong_input_exits_1_with_one_line_and_writes_nothing(
    run, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, says: str
) -> None:
    monkeypatch.chdir(folder)
    spoilt(folder)
    before = sorted(path.name for path in folder.iterdir())
    ran = run(*call.split())
    assert ran.code == 1
    assert ran.err.startswith("error: found ")
    assert "expected " in ran.err
    assert "do: " in ran.err
    assert ran.err.count("\n") == 1
    assert says in ran.err
    assert sorted(path.name for path in folder.iterdir()) == before


def test_debug_shows_the_traceback_wherever_it_stands(run, folder: Path) -> None:
    for words in (["--debug", "fuse", "missing.tif", "x.tif"], ["fuse", "missing.tif", "x.tif", "--debug"]):
        ran = run(*words, "-o", folder / "out.tif")
        assert ran.code == 1
        assert "Traceback" in ran.err
        assert ran.err.splitlines()[-1].startswith("error: found")


def test_a_fault_of_ours_is_one_line_too(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("hypersharp.fusion.fuse.fuse_images", broken)
    ran = run("fuse", folder / "hs.tif", folder / "ms.tif", "-o", folder / "out.tif")
    assert ran.code == 1
    assert ran.err.startswith("error: found a fault in hypersharp (KeyError: 'oops')")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("suffix", ["tif", "npy"])
def test_fuse_bicubic(run, folder: Path, suffix: str) -> None:
    out = folder / f"sharp.{suffix}"
    ran = run("fuse", folder / f"hs.{suffix}", folder / f"ms.{suffix}", "-o", out, "--method", "bicubic")
    assert ran.code == 0, ran.err
    assert "8 x 8, 31 bands" in ran.out
    assert "ratio 4" in ran.out
    assert str(out) in ran.out
    assert open_cube(out).shape == (BANDS, SIDE, SIDE)


@pytest.mark.parametrize("mode", ["whole", "tiles"])
def test_fuse_with_weights_says_which(run, folder: Path, tiny_weights: Path, mode: str) -> None:
    pair = [folder / "hs.tif", folder / "ms.tif"]
    sharp = folder / "sharp.npy"
    ran = run("fuse", *pair, "-o", sharp, "--weights", tiny_weights, "--mode", mode, "--precision", "fp32")
    assert ran.code == 0, ran.err
    assert "weights tiny" in ran.out
    run("fuse", *pair, "-o", folder / "plain.npy", "--method", "bicubic")
    gap = np.abs(open_cube(sharp).values - open_cube(folder / "plain.npy").values)
    assert gap[:, 8:-8, 8:-8].max() < 1e-4  # the last convolution starts at zero, so SSJCN starts at bicubic


def test_fuse_overwrites_only_when_it_succeeds(run, folder: Path) -> None:
    out = folder / "sharp.npy"
    out.write_bytes(b"precious")
    assert run("fuse", folder / "ms.npy", folder / "hs.npy", "-o", out, "--method", "bicubic").code == 1
    assert out.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("fuse hs.tif ms.tif -o out.tif --method gsa --uncertainty error.tif", "hs of 8 x 8 pixels at ratio 4"),
        ("fuse hs.tif ms.tif -o out.tif --uncertainty error.tif --consistent", "hs of 8 x 8 pixels at ratio 4"),
        (
            "fuse hs.tif ms.tif -o out.tif --method gsa --uncertainty error.tif --workers 1",
            "hs of 8 x 8 pixels at ratio 4",
        ),
        ("fuse hs.tif ms.tif -o out.tif --report page --truth none.tif", "none.tif"),
        ("fuse hs.tif ms.tif -o out.tif --report page --truth hs.tif", "a truth of 31 x 8 x 8"),
        ("fuse hs.tif ms.tif -o out.tif --report page --point 99,3", "the point 99,3 outside the result"),
        ("fuse hs.tif ms.tif -o out.tif --envi-header", "out.hdr, which describes out.img"),
        ("estimate hs.tif ms.tif -o none/sensor.json", "no folder none"),
        ("estimate hs.tif ms.tif -o sensor.json --plot sensor.gnp", "the picture sensor.gnp"),
        ("adapt hs.tif ms.tif -o none/weights.safetensors", "no folder none"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is(
    run, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, said: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("hypersharp.fusion.fuse.learn_pair", None)
    save_cube(open_cube("hs.tif"), "out.hdr")
    before = {path.name for path in folder.iterdir()}
    ran = run(*call.split())
    assert ran.code in (1, 2) and said in " ".join(ran.err.split())
    assert {path.name for path in folder.iterdir()} - {"page"} == before


@pytest.mark.parametrize(
    "call",
    [
        "fuse hs.tif ms.tif -o hs.tif",
        "fuse hs.tif ms.tif -o ./ms.tif --memory 2GB",
        "fuse hs.tif ms.tif -o link.tif",
        "fuse hs.tif ms.tif -o out.tif --uncertainty out.tif",
        "fuse hs.tif ms.tif -o out.tif --uncertainty ms.tif",
        "fuse hs.tif ms.tif -o out.tif --envi-header --uncertainty out.hdr",
        "fuse hs.tif ms.tif -o out.tif --envi-header --uncertainty out.img",
        "fuse hs.tif rgb.png -o out.tif --uncertainty rgb.tif",
        "estimate hs.tif ms.tif -o sensor.json --plot ms.tif",
        "estimate hs.tif ms.tif -o sensor.json --srf sensor.json",
        "fuse hs.hdr ms.tif -o hs.img",
        "fuse hs.tif ms.tif -o clouds.tif --mask clouds.tif",
        "align hs.tif ms.tif -o .",
        "simulate hs.tif -o . --ratio 4",
    ],
)
def test_what_is_read_is_never_replaced(run, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.chdir(folder)
    (folder / "link.tif").symlink_to("hs.tif")
    save_cube(open_cube("hs.tif"), "hs.hdr")
    (folder / "rgb.png").write_bytes(b"a picture")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    ran = run(*call.split())
    assert ran.code == 2 and "write elsewhere" in ran.err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("suffix", ["tif", "mat", "npy", "nc"])
def test_simulate_writes_three_files(run, folder: Path, suffix: str) -> None:
    out = folder / "new" / "pair"
    ran = run("simulate", folder / "scene.tif", "-o", out, "--protocol", "dian-x4", "--format", suffix)
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in out.iterdir()) == [f"{n}.{suffix}" for n in ("hs", "ms", "truth")]
    shapes = [open_cube(out / f"{name}.{suffix}").shape for name in ("hs", "ms", "truth")]
    assert shapes == [(BANDS, 8, 8), (3, SIDE, SIDE), (BANDS, SIDE, SIDE)]


def test_simulate_scales_as_the_protocol_does(run, folder: Path) -> None:
    counts = np.random.default_rng(0).integers(0, 65536, (BANDS, SIDE, SIDE)).astype(np.uint16)
    save_cube(make_cube(counts, wavelengths_nm=NM), folder / "counts.tif")
    for name, words in (("scaled", ["--protocol", "dian-x4"]), ("plain", ["--ratio", 4])):
        assert run("simulate", folder / "counts.tif", "-o", folder / name, *words).code == 0
    np.testing.assert_allclose(open_cube(folder / "scaled" / "truth.tif").values, counts / 65535, rtol=1e-6)
    np.testing.assert_array_equal(open_cube(folder / "plain" / "truth.tif").values, counts)


def test_simulate_crops_to_whole_coarse_pixels_and_seeds_its_noise(run, folder: Path) -> None:
    noise = ["--ratio", 3, "--snr-hs", 30, "--snr-ms", 40, "--format", "npy"]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        ran = run("simulate", folder / "scene.tif", "-o", folder / name, *noise, "--seed", seed)
        assert ran.code == 0, ran.err
    a, b, c = (open_cube(folder / name / "hs.npy").values for name in "abc")
    assert a.shape == (BANDS, 10, 10)
    assert "cropped to 30 x 30, 31 bands: 32 x 32 is no multiple of ratio 3" in ran.out
    assert "by default: psf fwhm:3, srf nikon-d700 (others by --psf, --srf)" in ran.out
    assert open_cube(folder / "a" / "truth.npy").shape == (BANDS, 30, 30)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_simulate_leaves_nothing_where_one_file_fails(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(cube: object, path: Path) -> Path:
        if "truth" in str(path):
            raise OSError(28, "No space left on device")
        return save_cube(cube, path)  # type: ignore[arg-type]

    monkeypatch.setattr("hypersharp.io.together.save_cube", full)
    out = folder / "pair"
    out.mkdir()
    (out / "hs.npy").write_bytes(b"precious")
    ran = run("simulate", folder / "scene.tif", "-o", out, "--ratio", 4, "--format", "npy")
    assert ran.code == 1
    assert "no space left" in ran.err.lower()
    assert [path.name for path in out.iterdir()] == ["hs.npy"]
    assert (out / "hs.npy").read_bytes() == b"precious"


def test_evaluate_prints_scores_and_the_full_scale(run, folder: Path) -> None:
    ran = run("evaluate", folder / "scene.tif", folder / "scene.tif", "--ratio", 4)
    assert ran.code == 0
    assert "psnr_db" in ran.out
    assert "full scale 1" in ran.out


def test_evaluate_is_free_of_units(run, folder: Path) -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.1, 0.9, (4, 40, 40))
    estimate = truth + rng.normal(0, 0.01, truth.shape)
    found = {}
    for unit in (1.0, 10_000.0):
        for name, values in (("truth", truth), ("estimate", estimate)):
            save_cube(make_cube(values * unit), folder / f"{name}.npy")
        words = ["evaluate", folder / "estimate.npy", folder / "truth.npy", "--ratio", 4, "--preset", "float"]
        found[unit] = json.loads(run(*words, "--json", "--peak", unit).out)
    assert found[1.0]["psnr_db"] == pytest.approx(40, abs=0.5)
    for name in ("psnr_db", "sam_deg", "ergas", "ssim"):
        assert found[1.0][name] == pytest.approx(found[10_000.0][name])


def test_help_lists_the_main_job_first(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    panels = re.findall(r"─ (The main job|Scores|Training and benchmarks|What there is) ─", capsys.readouterr().out)
    assert panels == ["The main job", "Scores", "Training and benchmarks", "What there is"]


@pytest.mark.parametrize("words", [["fuse", "--move", "none"], ["evaluate", "--move", "none"]])
def test_names_of_before_are_taken_and_not_shown(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    assert words[1] not in capsys.readouterr().out


def test_brackets_and_colons_of_names_are_printed_as_they_are(folder: Path, run) -> None:
    out = folder / "[bold]result :smile: [1].tif"
    done = run("fuse", folder / "hs.tif", folder / "ms.tif", "-o", out, "--method", "bicubic")
    assert str(out) in done.out


def test_deterministic_is_one_thread_and_float32_whatever_the_surroundings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from hypersharp.networks import inference
    from hypersharp.system import deterministic

    threads = torch.get_num_threads()
    for name in deterministic.SURROUNDINGS:
        monkeypatch.setenv(name, "4")
    monkeypatch.setattr(inference, "bf16_is_faster", lambda _: True)
    assert inference.autocast(torch.device("cpu"), "auto")._enabled
    with pytest.raises(SystemExit):
        main(["methods", "--deterministic"])
    assert torch.get_num_threads() == 1
    assert not inference.autocast(torch.device("cpu"), "auto")._enabled
    torch.set_num_threads(threads)


SAME = """
import sys
from hypersharp.cli.app import main
for method in ("cnmf", "ssjcn-any"):
    try:
        main(["fuse", "hs.tif", "ms.tif", "-o", f"{sys.argv[1]}-{method}.npy", "--method", method, "--deterministic"])
    except SystemExit as stop:
        assert not stop.code, stop.code
"""


def test_deterministic_gives_the_same_bits_on_one_thread_and_on_four(folder: Path) -> None:
    command, runs = [sys.executable, "-c", SAME], list[subprocess.Popen[bytes]]()
    for threads in ("1", "4"):
        surroundings = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        runs.append(subprocess.Popen([*command, threads], cwd=folder, env=surroundings, stdout=subprocess.DEVNULL))
    assert [run.wait() for run in runs] == [0, 0]
    for method in ("cnmf", "ssjcn-any"):
        assert (folder / f"1-{method}.npy").read_bytes() == (folder / f"4-{method}.npy").read_bytes(), method


@pytest.mark.parametrize("name", ["n" * 252 + ".tif", "a.tif/b.tif"])
def test_a_name_that_no_disk_takes_is_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_cube(make_cube(np.ones((2, 4, 4), "f4")), tmp_path / "a.tif")
    for words in (["info", tmp_path / name], ["fuse", tmp_path / "a.tif", tmp_path / "a.tif", "-o", tmp_path / name]):
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        said = capsys.readouterr().err
        assert stop.value.code in (1, 2)
        assert said.startswith("error: found") and "fault" not in said and len(said) < 600, said


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes on POSIX systems alone")
def test_names_are_read_as_utf8_whatever_the_locale(tmp_path: Path) -> None:
    save_cube(make_cube(np.ones((2, 4, 4), "f4")), tmp_path / "ü 高.tif")
    surroundings = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "hypersharp", "info", "ü 高.tif".encode()]
    found = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, check=True)
    assert b"2 bands" in found.stdout


def test_evaluate_leaves_out_what_is_masked(run, folder: Path) -> None:
    scene = open_cube(folder / "scene.tif")
    wrong = scene.copy(deep=True)
    wrong.values[:, :8] += 0.2
    save_cube(wrong, folder / "wrong.tif")
    mask = np.zeros((1, SIDE, SIDE), np.uint8)
    mask[:, :8] = 1
    save_cube(make_cube(mask), folder / "mask.tif")
    words = ["evaluate", folder / "wrong.tif", folder / "scene.tif", "--ratio", 4, "--preset", "float", "--json"]
    whole, masked = (json.loads(run(*words, *more).out) for more in ([], ["--mask", folder / "mask.tif"]))
    assert whole["psnr_db"] < 25 and masked["psnr_db"] is None and masked["rmse"] == 0  # infinite: JSON has no number
    assert masked["masked_pixels"] == 8 * SIDE
    for more, said in (
        (["--mask", folder / "none.tif"], "none.tif"),
        (["--saturated", 0.5], "--saturated without a pair"),
    ):
        ran = run(*words, *more)
        assert ran.code != 0 and said in ran.err


def test_a_truth_among_several_images_of_a_file_is_named(run, folder: Path) -> None:
    scene = open_cube(folder / "scene.tif").values
    savemat(folder / "all.mat", {"HSim": scene.transpose(1, 2, 0), "MSim": scene[:3].transpose(1, 2, 0)})
    words = ["evaluate", folder / "scene.tif", folder / "all.mat", "--ratio", 4, "--json"]
    assert "name it: --variable" in run(*words).err
    assert json.loads(run(*words, "--variable", "HSim", "--layout", "hwl").out)["rmse"] == 0
    assert "--ms-variable without a pair" in run(*words, "--ms-variable", "MSim").err


def test_of_an_ms_among_several_images_its_own_option_is_named(run, folder: Path) -> None:
    """Whoever has given --variable already is not told to."""
    scene = open_cube(folder / "scene.tif").values
    savemat(folder / "all.mat", {"HSim": scene.transpose(1, 2, 0), "MSim": scene[:3].transpose(1, 2, 0)})
    words = ["fuse", folder / "all.mat", folder / "all.mat", "-o", folder / "out.tif", "--variable", "HSim"]
    assert "of ms --ms-variable" in run(*words).err


def test_the_options_of_reading_are_repeated_as_typed() -> None:
    reading = Reading(variable="HS im", ms_nodata=0.0, product_mask=False, keep=["snow", "haze"])
    words = "--variable|HS im|--no-product-mask|--ms-nodata|0.0|--keep|snow|--keep|haze"
    assert reading.words() == words.split("|")
    assert Reading().words() == []


@pytest.mark.parametrize(
    "words", [["--weights", "none.safetensors"], ["--ensemble"], ["--mode", "tiles"], ["--budget", "60"]]
)
def test_what_only_others_know_is_refused_with_other_methods(run, folder: Path, words: list[str]) -> None:
    ran = run("fuse", folder / "hs.tif", folder / "ms.tif", "-o", folder / "out.tif", "--method", "gsa", *words)
    assert ran.code != 0 and f"{words[0]} with method gsa" in ran.err and not (folder / "out.tif").exists()


def test_a_response_of_other_bands_is_refused_by_every_method(run, folder: Path) -> None:
    np.save(folder / "srf.npy", np.ones((4, BANDS)) / BANDS)
    words = ["fuse", folder / "hs.tif", folder / "ms.tif", "-o", folder / "out.tif", "--srf", folder / "srf.npy"]
    for method in ("gsa", "bicubic"):
        ran = run(*words, "--method", method)
        assert ran.code == 1 and "4 x 31 (ms x hs bands)" in ran.err


def test_an_estimate_replaces_nothing_but_a_sensor(run, folder: Path) -> None:
    before = (folder / "hs.tif").read_bytes()
    ran = run("estimate", folder / "hs.tif", folder / "ms.tif", "-o", folder / "hs.tif")
    assert ran.code == 2 and "ends in .json" in ran.err and (folder / "hs.tif").read_bytes() == before
