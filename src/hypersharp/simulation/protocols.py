"""Protocols with names: scene -> pair (+ truth), each a row of PROTOCOLS.

A protocol fixes all that changes a number: the split, the crop, the blur with its phase and boundary
rule, the spectral response, the noise, the scaling to 0..1 and the metric preset. Sources: the
scripts of DHSIS, DBIN, DHIF-Net, HSRnet and PSRT, the SSJCN paper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hypersharp.errors import check_name
from hypersharp.sensor.psf import PSF, parse_psf
from hypersharp.sensor.responses import CAVE_WAVELENGTHS_NM

if TYPE_CHECKING:
    from hypersharp.sensor.observe import Sensor


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


HARVARD_WAVELENGTHS_NM = tuple(float(nm) for nm in range(420, 721, 10))
# All 32 scenes of CAVE in alphabetical order, without the folders' `_ms`.
CAVE_SCENES = words(
    """
    balloons beads cd chart_and_stuffed_toy clay cloth egyptian_statue face
    fake_and_real_beers fake_and_real_food fake_and_real_lemon_slices fake_and_real_lemons
    fake_and_real_peppers fake_and_real_strawberries fake_and_real_sushi fake_and_real_tomatoes
    feathers flowers glass_tiles hairs jelly_beans oil_painting paints photo_and_face
    pompoms real_and_fake_apples real_and_fake_peppers sponges stuffed_toys superballs
    thread_spools watercolors
    """
)
# The 50 daylight scenes of Harvard (CZ_hsdb) in alphabetical order.
HARVARD_SCENES = words(
    """
    img1 img2 imga1 imga2 imga5 imga6 imga7 imgb0 imgb1 imgb2 imgb3 imgb4 imgb5 imgb6 imgb7 imgb8
    imgb9 imgc1 imgc2 imgc4 imgc5 imgc7 imgc8 imgc9 imgd2 imgd3 imgd4 imgd7 imgd8 imgd9 imge0 imge1
    imge2 imge3 imge4 imge5 imge6 imge7 imgf1 imgf2 imgf3 imgf4 imgf5 imgf6 imgf7 imgf8 imgh0 imgh1
    imgh2 imgh3
    """
)
UESTC_TEST = words(
    """
    balloons cd chart_and_stuffed_toy clay fake_and_real_beers fake_and_real_lemon_slices
    fake_and_real_tomatoes feathers flowers hairs jelly_beans
    """
)


@dataclass(frozen=True)
class Protocol:
    """How scenes become pairs, and which scenes are for what: everything that changes a number, under one name.

    Attributes:
        name: that of its row in `PROTOCOLS`.
        dataset: the data set its scenes come from.
        ratio: fine pixels per coarse one.
        psf_spec: the blur, as `parse_psf` reads it.
        srf: the spectral response, by name.
        train, validation, test: names of scenes; no scene is in two of them.
        wavelengths_nm: centres of the bands (L,).
        scaling: how values come to 0..1: divided by the integer type's largest, or by the scene's own maximum.
        preset: the metric preset that scores are computed with.
        source: the papers and programs it follows.
        srf_by_index: apply the response by band index, as if the scene had CAVE's wavelengths.
        crop_yx: keep only the upper left (height, width) of a scene.

    >>> protocol = find_protocol("dian-x4")
    >>> protocol.ratio, protocol.psf_spec, len(protocol.test)
    (4, 'gaussian:8:2:start=1:boundary=wrap', 12)
    """

    name: str
    dataset: Literal["cave", "harvard"]
    ratio: int
    psf_spec: str
    srf: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    wavelengths_nm: tuple[float, ...]
    scaling: Literal["dtype", "scene-max"]
    preset: str
    source: str
    srf_by_index: bool = False
    crop_yx: tuple[int, int] | None = None

    @property
    def scenes(self) -> tuple[str, ...]:
        """Every scene of the protocol, in alphabetical order."""
        return tuple(sorted(self.train + self.validation + self.test))

    @property
    def psf(self) -> PSF:
        """The blur, with its phase and boundary rule."""
        return parse_psf(self.psf_spec, self.ratio)

    def sensor(self) -> Sensor:
        """The sensor of this protocol: PSF, spectral response (l, L) and ratio."""
        from hypersharp.sensor.observe import Sensor
        from hypersharp.sensor.srf import find_srf

        seen_nm = CAVE_WAVELENGTHS_NM if self.srf_by_index else self.wavelengths_nm
        return Sensor(self.psf, find_srf(self.srf, seen_nm), self.ratio)


DIAN = Protocol(
    # The first 20 scenes train, the last 12 test. 8 x 8 Gaussian, sigma 2, circular, centred on the
    # coarse pixel: start 1, so coarse pixel i reads fine rows 4i-2 .. 4i+5.
    name="dian-x4",
    dataset="cave",
    ratio=4,
    psf_spec="gaussian:8:2:start=1:boundary=wrap",
    srf="nikon-d700",
    train=tuple(scene for number, scene in enumerate(CAVE_SCENES[:20]) if number not in (3, 13)),
    validation=(CAVE_SCENES[3], CAVE_SCENES[13]),  # held out of the 20 training scenes
    test=CAVE_SCENES[20:],
    wavelengths_nm=CAVE_WAVELENGTHS_NM,
    scaling="dtype",
    preset="dian",
    source="Wang, Xu, Wu, Wei 2021 (SSJCN), split and blur of Dian et al. 2018 (DHSIS) at ratio 4",
)
# Every eighth of the 20 training scenes of dspnet, from the fourth.
DSPNET_VALIDATION = ("chart_and_stuffed_toy", "fake_and_real_lemons", "hairs")
# A Gaussian of the ratio's size, sigma 2, circular, start ratio/2 - 1: each coarse pixel reads its own block.
# The papers' ERGAS has 100/4 at every ratio: at ratio 8 it is twice the one here.
DSPNET = replace(
    DIAN,
    name="dspnet-x4",
    psf_spec="gaussian:4:2:start=1:boundary=wrap",
    train=tuple(scene for scene in CAVE_SCENES[:20] if scene not in DSPNET_VALIDATION),
    validation=DSPNET_VALIDATION,
    preset="float",
    source="Sun et al. 2023 (DSPNet), Utils.py; the same in SFNO, SpecSolver and GSNO",
)
UESTC_VALIDATION = ("fake_and_real_strawberries", "stuffed_toys")  # held out of uestc's training scenes
PROTOCOLS: dict[str, Protocol] = {
    "dian-x4": DIAN,
    # As above at ratio 8. Centred (start 3) as NSSR and DHIF-Net do; DHSIS's own demo starts at 0, so
    # that its coarse pixels lie 3 fine pixels up and left: parse_psf("gaussian:8:2:start=0", 8).
    "dian-x8": replace(
        DIAN,
        name="dian-x8",
        ratio=8,
        psf_spec="gaussian:8:2:start=3:boundary=wrap",
        source="Dian, Li, Guo, Fang 2018 (DHSIS), with the phase of DHIF-Net",
    ),
    # 3 x 3 Gaussian, sigma 0.5; pixels 2, 6, 10, ... are kept, half a fine pixel right of and below
    # the coarse pixel's centre (the phase that PSRT's published weights expect). The boundary rule is
    # not published.
    "uestc-x4": replace(
        DIAN,
        name="uestc-x4",
        psf_spec="gaussian:3:0.5:start=2:boundary=wrap",
        train=tuple(sorted({*CAVE_SCENES} - {*UESTC_TEST, *UESTC_VALIDATION, "watercolors"})),
        validation=UESTC_VALIDATION,
        test=UESTC_TEST,
        preset="dlpan",
        source="Deng et al. 2023 (BDT), section 4; Hu et al. 2022 (HSRnet)",
    ),
    "dspnet-x4": DSPNET,
    "dspnet-x8": replace(DSPNET, name="dspnet-x8", ratio=8, psf_spec="gaussian:8:2:start=3:boundary=wrap"),
    # 1040 x 1392 pixels, 20 / 5 / 25 in alphabetical order. The D700 table is applied by band index,
    # as everyone does, although these bands start 20 nm later than the table.
    "harvard-x4": replace(
        DIAN,
        name="harvard-x4",
        dataset="harvard",
        train=HARVARD_SCENES[:20],
        validation=HARVARD_SCENES[20:25],
        test=HARVARD_SCENES[25:],
        wavelengths_nm=HARVARD_WAVELENGTHS_NM,
        scaling="scene-max",
        source="Wang, Xu, Wu, Wei 2021 (SSJCN): the first 20, next 5, last 25 of the daylight scenes",
        srf_by_index=True,
    ),
}


def find_protocol(name: str) -> Protocol:
    """Find a protocol by its name.

    Args:
        name: one of `PROTOCOLS`.

    Returns:
        Its row.

    Raises:
        InputError: there is none of that name; the message lists similar ones.

    >>> find_protocol("dian-x4").sensor().psf.centre_yx()
    (1.5, 1.5)
    """
    check_name("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
