"""Tables: means, spread and paired tests are those of the rows; what is printed names every row of the paper."""

import re
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from hypersharp.bench.report import (
    COLUMNS,
    COSTS,
    as_latex,
    difference,
    markdown,
    over_scenes,
    paired_differences,
    summarise,
)
from hypersharp.bench.run import bare
from hypersharp.bench.tables import TABLES, Benchmark, find_table
from hypersharp.errors import InputError
from hypersharp.methods.table import METHODS
from hypersharp.networks.packaged import named_weights, packaged_weights
from hypersharp.simulation.protocols import PROTOCOLS, find_protocol

SCENES = tuple(f"scene_{n}" for n in range(12))


def row(method: str, scene: str, shift: float = 0.0, **more: Any) -> dict[str, Any]:
    """A finished row whose scores depend on the scene, and on the method by `shift`."""
    n = float(SCENES.index(scene))
    scores = {"psnr_db": 40 + n + shift, "ssim": 0.9 + n / 200, "sam_deg": 5 - n / 10 - shift, "ergas": 1 + n / 10}
    return {
        "protocol": "dian-x4",
        "commit": "c",
        "machine": "m",
        "mode": "whole",
        "method": method,
        "scene": scene,
        "scores": {"dian": scores, "float": scores},
        "seconds": 2.0,
        "cpu_seconds": 3.0,
        "peak_mb": 100 + n,
        "parameters": 0,
        **more,
    }


def rows_of(**shifts: float) -> list[dict[str, Any]]:
    return [row(method, scene, shift) for scene in SCENES for method, shift in shifts.items()]


def test_mean_and_spread_are_over_scenes() -> None:
    network = {"parameters": 1_258_608, "flops": 213_400_000_000, "training_pflop": 1.449}
    (found,) = summarise([row("ssjcn", scene, **network) for scene in SCENES], "dian")
    assert found.scores["psnr_db"].value == pytest.approx(45.5)
    assert found.scores["psnr_db"].spread == pytest.approx(np.std(np.arange(12), ddof=1))
    assert dict(zip(COSTS, found.costs, strict=True)) == {
        "s a scene": "2.00",
        "of processors": "3.00",
        "peak MB": "111",
        "parameters (M)": "1.259",
        "GFLOP a scene": "213.4",
        "PFLOP of training": "1.45",
    }
    (plain,) = summarise([row("bicubic", SCENES[0])], "dian")
    assert plain.scores["ssim"].spread is None
    assert plain.costs[3:] == ("-", "-", "-")


def test_the_paired_test_counts_every_choice_of_signs() -> None:
    """Wilcoxon's p from its definition: the share of sign patterns whose rank sum is at least as extreme."""
    values = np.array([0.4, -0.1, 0.9, 0.3, -0.7, 1.2, 0.5])
    ranks = np.abs(values).argsort().argsort() + 1
    sums = np.array([np.dot(signs, ranks) for signs in product((-1, 1), repeat=len(values))])
    extreme = np.mean(np.abs(sums) >= abs(np.dot(np.sign(values), ranks)))
    assert difference(values.tolist())[1] == pytest.approx(extreme)
    assert difference([1.0 + n for n in range(12)])[1] == pytest.approx(2 * binom.pmf(0, 12, 0.5))
    assert difference([0.0, 0.0])[1] == 1


def test_the_first_method_is_compared_with_each_other_over_common_scenes() -> None:
    rows = [
        made
        for made in rows_of(ssjcn=2.0, hysure=0.5, bicubic=0.0)
        if made["scene"] != "scene_3" or made["method"] != "hysure"
    ]
    found = paired_differences(rows, "dian")
    assert {other: scenes for other, (scenes, _) in found.items()} == {"hysure": 11, "bicubic": 12}
    psnr, sam, ssim = (found["bicubic"][1][name] for name in ("psnr_db", "sam_deg", "ssim"))
    assert psnr[0].value == pytest.approx(2)
    assert psnr[0].spread == pytest.approx(0, abs=1e-9)
    assert sam[0].value == pytest.approx(-2)
    assert psnr[1] == pytest.approx(2 / 2**12)
    assert (ssim[0].value, ssim[1]) == (0, 1)


def test_markdown_has_means_published_rows_and_differences() -> None:
    text = markdown(rows_of(ssjcn=2.0, bicubic=0.0), "dian", TABLES["table1"][0].published)
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert [title.split(":")[0].split(",")[0] for title in sections] == [
        "Mean ± standard deviation over scenes",
        "Published",
        "Paired differences",
        "Mean ± standard deviation over scenes",
        "Every scene",
    ]
    assert "| ssjcn | 12 | 47.50 ± 3.61 | 0.9275 ± 0.0180 |" in text
    assert "| HySure | 40.58 | 0.9779 | 6.25 | 2.51 |" in text
    assert "| bicubic | 12 | +2.00 ± 0.00 | 0.00049 |" in text
    one = markdown(rows_of(ssjcn=2.0), "dian")
    assert "Paired" not in one
    assert "Published" not in one


def test_latex_is_whole_escaped_and_bold_where_best() -> None:
    table = TABLES["table1"][0].published
    rows = rows_of(ssjcn=2.0, bicubic=0.0)
    text = as_latex([*rows, row("a_b (50%)", SCENES[0])], "dian", table)
    lines = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.split(r"(?<!\\)&", line)) for line in lines} == {1 + len(COLUMNS) + len(COSTS)}
    assert text.count(r"\midrule") == 2
    assert text.count(r"\begin") == text.count(r"\end") == 1
    assert text.count("{") == text.count("}")
    assert r"a\_b (50\%) & $40.00$" in text
    assert r"ssjcn & $\mathbf{47.50} \pm 3.61$" in text
    assert r"SAM ($^\circ$)" in text
    psnr, _, sam, _ = re.split(" & ", next(line for line in lines if line.startswith("bicubic")))[1:5]
    assert "mathbf" not in psnr + sam
    assert r"SSJCN & 48.5434 & 0.9937 & 3.0916 & 1.0165" + " & " * len(COSTS) + r" \\" in lines


def test_latex_of_nothing_finished_is_still_a_table() -> None:
    assert r"\bottomrule" in as_latex([], "dian")


def test_every_table_can_be_asked_for() -> None:
    for name, parts in TABLES.items():
        assert find_table(name) is parts
        assert parts[0].published
        assert all(float(number) > 0 for numbers in parts[0].published.rows.values() for number in numbers)
        for part in parts:
            assert part.protocol in PROTOCOLS
            assert part.methods[0].startswith("ssjcn")
    assert find_table("uestc-x4") == (Benchmark("uestc-x4"),)
    assert TABLES["table2"][0].protocol == "harvard-x4"


def test_table1_has_every_method_and_only_weights_made_for_its_sensor() -> None:
    parts = TABLES["table1"]
    assert [part.protocol for part in parts] == ["dian-x4", "dian-x8", "dspnet-x4", "dspnet-x8"]
    names = [{bare(method.split(":")[0]) for method in part.methods} for part in parts]
    trained = {weights.method for weights in packaged_weights().values()}
    assert names[0] == {name for name, method in METHODS.items() if not method.is_network or name in trained}
    without = {name for name, method in METHODS.items() if not method.is_network}
    for part, found in zip(parts, names, strict=True):
        assert without <= found
        own = find_protocol(part.protocol)
        for weights in (method.partition(":")[2] for method in part.methods if ":" in method):
            provenance = named_weights(weights).header.provenance
            made = find_protocol(provenance["protocol"])
            assert (made.psf_spec, made.srf, made.ratio) == (own.psf_spec, own.srf, own.ratio)
            assert not {*provenance["training_scenes"]} & {*own.test}
    with pytest.raises(InputError, match="table1"):
        find_table("table4")


def test_over_scenes_of_one() -> None:
    assert over_scenes([2.5]).shown(1) == "2.5"
    assert over_scenes([2.5])._replace(spread=0.25).shown(2, "+") == "+2.50 ± 0.25"
