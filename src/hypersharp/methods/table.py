"""The table of methods, the quick ones first, as `auto` tries them; a new method is a row here, a file and a test."""

from functools import partial

from hypersharp.errors import check_name
from hypersharp.methods.base import Method

SELVA = "Selva et al. 2015, IEEE JSTARS 8(6)"
WANG = "Wang, Xu, Wu, Wei 2021"
DIAN = "Dian, Li, Guo, Fang 2018, IEEE TNNLS 29(11)"
GLP = "Generalised Laplacian pyramid, MTF-matched (GLP-HS)"
SFIM = "Smoothing-filter-based intensity modulation (SFIM-HS)"
FUSE = "Gaussian posterior in closed form (FUSE)"
CNMF = "Coupled non-negative matrix factorisation (CNMF)"
HYSURE = "Subspace regularisation with vector total variation"
CSTF = "Coupled sparse tensor factorisation (CSTF)"
KWON_TAI = "Guided upsampling and spectrum substitution (after Kwon and Tai)"
LIU = "Fractional gradients of the guide and low-rank patches (after Liu, Xiao and Li)"
SRCNN, DBIN = "SRCNN, which sees HS alone", "Deep blind iterative fusion network"
SSF_CNN = "Spatial and spectral fusion network (SSF-CNN, PDCon-SSF)"
MS_SSFNET = "Multi-level and multi-scale fusion network (after MS-SSFNet)"
HAM_MFN = "Multi-scale fusion network with RAP loss (after HAM-MFN)"
NSSR = "Non-negative structured sparse representation, non-local means (NSSR)"
SSJCN, ANY = "Spatial-Spectral Joint Correction Network", "SSJCN for any bands, ratio and sensor"
Compared = partial(Method, candidate=False, blind=True)  # networks that are there to be compared with
BLUR, SENSOR, TRAINED = ("psf",), ("psf", "srf"), ("weights",)

# name, title, paper, needs, halo in fine pixels, floats per pixel
ROWS = (
    Method("bicubic", "Bicubic interpolation", "Keys 1981, IEEE TASSP 29(6)", (), 8, (2, 20), sees_ms=False),
    Method("glp", GLP, f"Aiazzi et al. 2006, PE&RS 72(5); {SELVA}", BLUR, 24, (1.5, 90)),
    Method("gsa", "Gram-Schmidt adaptive (GSA)", "Aiazzi et al. 2007, IEEE TGRS 45(10)", BLUR, 24, (1.5, 90)),
    Method("sfim", SFIM, f"Liu 2000, Int. J. Remote Sensing 21(18); {SELVA}", BLUR, 24, (4, 80), nonnegative=True),
    Method("fuse", FUSE, "Wei et al. 2015, IEEE TIP 24(11)", SENSOR, 32, (2, 180)),
    Method("ssjcn", SSJCN, WANG, TRAINED, 32, (2, 700), halo_coarse=8),  # its blur is as coarse as the ratio
    Method("dbin", DBIN, "Wang, Zeng, Fu, Huang, Ding 2019, ICCV", TRAINED, 96, (2, 900), blind=True),
    Method("dhsis", "Deep hyperspectral image sharpening", DIAN, (*TRAINED, *SENSOR), 80, (2, 550)),
    Compared("srcnn", SRCNN, "Dong et al. 2016, IEEE TPAMI 38(2)", TRAINED, 16, (2, 200), sees_ms=False),
    Compared("ssf-cnn", SSF_CNN, "Han, Shi, Zheng 2018, ICIP", TRAINED, 16, (2, 200)),
    Compared("ms-ssfnet", MS_SSFNET, "after Han, Zheng, Chen 2019, ICCVW", TRAINED, 48, (2, 400)),
    Compared("ham-mfn", HAM_MFN, "after Xu et al. 2020, IEEE TGRS 58(7)", TRAINED, 48, (2, 400)),
    Method("ssjcn-any", ANY, f"{WANG}, in the pair's own coordinates", SENSOR, 32, (2, 700), halo_coarse=8),
    Method("cnmf", CNMF, "Yokoya et al. 2012, IEEE TGRS 50(2)", SENSOR, 24, (2, 300), nonnegative=True),
    Method("hysure", HYSURE, "Simoes et al. 2015, IEEE TGRS 53(6)", SENSOR, 96, (2, 360)),
    Method("cstf", CSTF, "Li et al. 2018, IEEE TIP 27(8)", SENSOR, 32, (2, 300), candidate=False),
    Method("kwon-tai", KWON_TAI, "after Kwon, Tai 2015, ICCV", SENSOR, 64, (8, 350), candidate=False),
    Method("liu-xiao-li", LIU, "after Liu, Xiao, Li 2018, IEEE TGRS 56(3)", BLUR, 96, (2, 450), candidate=False),
    Method("nssr", NSSR, "Dong et al. 2016, IEEE TIP 25(5)", SENSOR, 96, (2, 400), candidate=False, nonnegative=True),
)
METHODS = {method.name: method for method in ROWS}

AUTO = Method(
    "auto",
    "The best of the others, or their blend, on the pair itself",
    "Wald et al. 1997, PE&RS 63(6); Breiman 1996, Machine Learning 24(1)",
    SENSOR,
    96,
    (4, 900),
)


def find_method(name: str) -> Method:
    """A method, or `auto`, by name.

    Raises: InputError, with the nearest names, for an unknown one.
    """
    known = {AUTO.name: AUTO, **METHODS}
    check_name("method", name, known)
    return known[name]
