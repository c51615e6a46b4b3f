"""The table of methods, the quick ones first, as `auto` tries them; a new method is a row here, a file and a test."""

from hypersharp.errors import check_name
from hypersharp.methods.base import Method

ROWS = (
    Method(
        name="bicubic",
        title="Bicubic interpolation",
        paper="Keys 1981, IEEE TASSP 29(6)",
        module="hypersharp.methods.bicubic",
        halo_px=8,
        floats_per_px=lambda bands, ms_bands: 2 * bands + ms_bands + 20,
        candidate=True,
        quick=True,
    ),
    Method(
        name="glp",
        title="Generalised Laplacian pyramid, MTF-matched (GLP-HS)",
        paper="Aiazzi et al. 2006, PE&RS 72(5); Selva et al. 2015, IEEE JSTARS 8(6)",
        module="hypersharp.methods.glp",
        needs=("psf",),
        halo_px=24,
        floats_per_px=lambda bands, ms_bands: 1.5 * bands + ms_bands + 90,
        candidate=True,
        quick=True,
    ),
    Method(
        name="gsa",
        title="Gram-Schmidt adaptive (GSA)",
        paper="Aiazzi et al. 2007, IEEE TGRS 45(10)",
        module="hypersharp.methods.gsa",
        needs=("psf",),
        halo_px=24,
        floats_per_px=lambda bands, ms_bands: 1.5 * bands + ms_bands + 90,
        candidate=True,
        quick=True,
    ),
    Method(
        name="sfim",
        title="Smoothing-filter-based intensity modulation (SFIM-HS)",
        paper="Liu 2000, Int. J. Remote Sensing 21(18); Selva et al. 2015, IEEE JSTARS 8(6)",
        module="hypersharp.methods.sfim",
        needs=("psf",),
        halo_px=24,
        floats_per_px=lambda bands, ms_bands: 4 * bands + ms_bands + 80,
        candidate=True,
        quick=True,
    ),
    Method(
        name="fuse",
        title="Gaussian posterior in closed form (FUSE)",
        paper="Wei et al. 2015, IEEE TIP 24(11)",
        module="hypersharp.methods.fuse_wei",
        needs=("psf", "srf"),
        halo_px=32,
        floats_per_px=lambda bands, ms_bands: 2 * bands + ms_bands + 180,
        candidate=True,
        quick=True,
    ),
    Method(
        name="ssjcn",
        title="Spatial-Spectral Joint Correction Network",
        paper="Wang, Xu, Wu, Wei 2021",
        module="hypersharp.methods.ssjcn",
        needs=("weights",),
        halo_px=32,
        halo_coarse=8,  # its blur and its error maps are as coarse as the ratio
        floats_per_px=lambda bands, ms_bands: 2 * bands + ms_bands + 700,
        candidate=True,
    ),
    Method(
        name="dbin",
        title="Deep blind iterative fusion network",
        paper="Wang, Zeng, Fu, Huang, Ding 2019, ICCV",
        module="hypersharp.methods.dbin",
        needs=("weights",),
        halo_px=96,
        floats_per_px=lambda bands, ms_bands: 2 * bands + ms_bands + 900,
        candidate=True,
    ),
    Method(
        name="dhsis",
        title="Deep hyperspectral image sharpening",
        paper="Dian, Li, Guo, Fang 2018, IEEE TNNLS 29(11)",
        module="hypersharp.methods.dhsis",
        needs=("weights", "psf", "srf"),
        halo_px=64,
        floats_per_px=lambda bands, ms_bands: 2 * bands + ms_bands + 550,
        candidate=True,
    ),
    Method(
        name="ssjcn-any",
        title="SSJCN for any bands, ratio and sensor",
        paper="Wang, Xu, Wu, Wei 2021, in the pair's own coordinates",
        module="hypersharp.methods.ssjcn_any",
        needs=("psf", "srf"),
        halo_px=32,
        halo_coarse=8,
        floats_per_px=lambda bands, ms_bands: 2 * bands + ms_bands + 700,
        candidate=True,
    ),
    Method(
        name="cnmf",
        title="Coupled non-negative matrix factorisation (CNMF)",
        paper="Yokoya et al. 2012, IEEE TGRS 50(2)",
        module="hypersharp.methods.cnmf",
        needs=("psf", "srf"),
        halo_px=24,
        floats_per_px=lambda bands, ms_bands: 2 * bands + ms_bands + 300,
        candidate=True,
    ),
    Method(
        name="hysure",
        title="Subspace regularisation with vector total variation",
        paper="Simoes et al. 2015, IEEE TGRS 53(6)",
        module="hypersharp.methods.hysure",
        needs=("psf", "srf"),
        halo_px=96,
        floats_per_px=lambda bands, ms_bands: 2 * bands + ms_bands + 360,
        candidate=True,
    ),
)
METHODS = {method.name: method for method in ROWS}

AUTO = Method(
    name="auto",
    title="The best of the others, or their blend, on the pair itself",
    paper="Wald et al. 1997, PE&RS 63(6); Breiman 1996, Machine Learning 24(1)",
    module="hypersharp.fusion.choose.auto",
    needs=("psf", "srf"),
    halo_px=96,
    floats_per_px=lambda bands, ms_bands: 4 * bands + ms_bands + 900,
)


def find_method(name: str) -> Method:
    """A method, or `auto`, by name.

    Raises: InputError, with the nearest names, for an unknown one.
    """
    known = {AUTO.name: AUTO, **METHODS}
    check_name("method", name, known)
    return known[name]
