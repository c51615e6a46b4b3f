"""The algorithms: parameters in, a call of the command, layers out."""

import json
from pathlib import Path

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingException,
    QgsProcessingOutputHtml,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsSettings,
)

from . import command
from .style import TrueColour

STORED, METHODS = "hypersharp/command", "hypersharp/methods"  # what Set up keeps
COREGISTER = ["local", "affine", "shift", "none"]
PRODUCTS = "Images and products (*.tif *.tiff *.xml *.XML *.zip *.he5 *.h5 *.nc *.hdr *.img *.mat *.npy);;All files (*)"
ANY = "All files (*)"
STYLES: list[TrueColour] = []  # one a layer: QGIS neither keeps one while it needs it, nor leaves it whole afterwards
SCORES = ("psnr_db", "ssim", "sam_deg", "ergas", "hqnr", "qnr")


class Algorithm(QgsProcessingAlgorithm):
    """What all share: a class with `NAME`, `TITLE`, `HELP`, its parameters and its call."""

    NAME = TITLE = HELP = ""

    def createInstance(self):
        return type(self)()

    def name(self):
        return self.NAME

    def displayName(self):
        return self.TITLE

    def shortHelpString(self):
        return self.HELP

    def helpUrl(self):
        return "https://hypersharp.readthedocs.io"

    def add(self, parameter, help="", advanced=False):
        """Add a parameter, with a word of help."""
        parameter.setHelp(help)
        if advanced:
            parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.FlagAdvanced)
        self.addParameter(parameter)

    def add_image(self, name, title, optional=False):
        """A layer of the project, or a file or product in its place."""
        self.add(QgsProcessingParameterRasterLayer(name, title, optional=True))
        product = QgsProcessingParameterFile(
            f"{name}_FILE", "... or a product or another file", fileFilter=PRODUCTS, optional=True
        )
        self.add(product, "as downloaded: its metadata XML, .he5, .nc or .zip", advanced=optional)

    def image(self, parameters, name, context, optional=False):
        """The path of an image. Raises: QgsProcessingException for none, two, or a layer without a file."""
        file, layer = self.parameterAsFile(parameters, f"{name}_FILE", context), None
        if parameters.get(name):
            layer = self.parameterAsRasterLayer(parameters, name, context)
            if layer is None:
                raise QgsProcessingException(f"{name}: {parameters[name]} is no raster layer that QGIS can open")
        if bool(file) == bool(layer):
            if optional and not file:
                return None
            raise QgsProcessingException(f"{name}: give a layer or a file" + (", not both" if file else ""))
        return file or path_of(layer)

    def checkParameterValues(self, parameters, context):
        good, why = super().checkParameterValues(parameters, context)
        if good and self.NAME != "setup" and command.find_command(QgsSettings().value(STORED, "")) is None:
            return False, "no hypersharp command was found: run the algorithm 'Set up' first"
        return good, why

    def call(self, words, feedback):
        """Run `hypersharp` with these words; its output. Raises: QgsProcessingException with its error."""
        hypersharp = command.find_command(QgsSettings().value(STORED, ""))
        if hypersharp is None:
            raise QgsProcessingException("no hypersharp command was found: run the algorithm 'Set up' first")
        return followed(command.run, feedback, [hypersharp, *words])

    def raster_output(self, parameters, name, context):
        """The path of a raster to write, which is styled when it is added to the project."""
        path = self.parameterAsOutputLayer(parameters, name, context)
        if context.willLoadLayerOnCompletion(path):
            STYLES.append(TrueColour())
            context.layerToLoadOnCompletionDetails(path).setPostProcessor(STYLES[-1])
        return path


def followed(work, feedback, *arguments, **more):
    """Do work of `command` that tells its lines and progress to QGIS, and ends when it is cancelled there."""

    def on_line(line):
        if line.startswith("error: "):
            return  # raised at the end
        (feedback.pushWarning if line.startswith("warning: ") else feedback.pushInfo)(line)

    def on_progress(fraction, what):
        feedback.setProgressText(what)
        feedback.setProgress(100 * fraction)

    try:
        return work(*arguments, on_line=on_line, on_progress=on_progress, is_cancelled=feedback.isCanceled, **more)
    except command.Cancelled as stop:
        raise QgsProcessingException("cancelled: nothing is left half-written") from stop
    except command.Failed as error:
        raise QgsProcessingException(str(error)) from error


def known_methods():
    """The methods of the command that was set up; before, the default alone."""
    return QgsSettings().value(METHODS, "").split() or ["auto"]


def path_of(layer):
    """The file of a layer. Raises: QgsProcessingException for one of a service, a database or part of a file."""
    path = layer.source().split("|")[0]
    if layer.providerType() != "gdal" or not Path(path).exists():
        raise QgsProcessingException(f"the layer {layer.name()} is no whole file: give its file instead")
    return path


class Sharpen(Algorithm):
    """`hypersharp fuse`."""

    NAME, TITLE = "sharpen", "Sharpen"
    HELP = (
        "Sharpens a hyperspectral image (HS) with the multispectral, RGB or pan image (MS) of the same place. "
        "The result has all bands of HS on the pixels of MS. Grids, CRS and a displacement between the two are seen to."
    )

    def initAlgorithm(self, config=None):
        self.add_image("HS", "Hyperspectral image (HS)")
        self.add_image("MS", "Multispectral, RGB or pan image (MS)")
        methods = QgsProcessingParameterEnum(
            "METHOD", "Method", known_methods(), defaultValue="auto", usesStaticStrings=True
        )
        self.add(methods, "auto ranks them on the pair itself")
        self.add(QgsProcessingParameterRasterLayer("MASK", "Mask of MS: not 0 leaves a pixel out", optional=True))
        kinds = QgsProcessingParameterEnum(
            "COREGISTER", "Richest displacement looked for", COREGISTER, defaultValue="local", usesStaticStrings=True
        )
        self.add(kinds, advanced=True)
        seconds = QgsProcessingParameterNumber("BUDGET", "Seconds that auto may take", defaultValue=60, minValue=1)
        self.add(seconds, advanced=True)
        sensor = QgsProcessingParameterFile("SENSOR", "Sensor, of 'Estimate sensor'", optional=True, extension="json")
        self.add(sensor, advanced=True)
        more = QgsProcessingParameterString("OPTIONS", "Further options of hypersharp fuse", optional=True)
        self.add(more, "as on a command line, --psf gaussian:8:2 say", advanced=True)
        self.add(QgsProcessingParameterRasterDestination("OUTPUT", "Sharpened image"))
        self.add(
            QgsProcessingParameterRasterDestination(
                "UNCERTAINTY", "Half-width of the 90 % prediction interval", optional=True, createByDefault=False
            )
        )
        self.add(
            QgsProcessingParameterFolderDestination("REPORT", "Report in folder", optional=True, createByDefault=False)
        )
        self.addOutput(QgsProcessingOutputHtml("REPORT_HTML", "Report"))

    def processAlgorithm(self, parameters, context, feedback):
        hs, ms = (self.image(parameters, name, context) for name in ("HS", "MS"))
        out = self.raster_output(parameters, "OUTPUT", context)
        method = self.parameterAsEnumString(parameters, "METHOD", context)
        words = ["fuse", hs, ms, "-o", out, "--method", method]
        if method == "auto":
            words += ["--budget", self.parameterAsInt(parameters, "BUDGET", context)]
        results, sensor = {"OUTPUT": out}, self.parameterAsFile(parameters, "SENSOR", context)
        if sensor:
            words += ["--sensor", sensor]
        else:
            words += ["--coregister", self.parameterAsEnumString(parameters, "COREGISTER", context)]
        mask = self.parameterAsRasterLayer(parameters, "MASK", context)
        if mask:
            words += ["--mask", path_of(mask)]
        if parameters.get("UNCERTAINTY"):
            results["UNCERTAINTY"] = self.parameterAsOutputLayer(parameters, "UNCERTAINTY", context)
            words += ["--uncertainty", results["UNCERTAINTY"]]
        if parameters.get("REPORT"):
            results["REPORT"] = self.parameterAsString(parameters, "REPORT", context)
            results["REPORT_HTML"] = str(Path(results["REPORT"]) / "report.html")
            words += ["--report", results["REPORT"]]
        self.call([*words, *split_words(self.parameterAsString(parameters, "OPTIONS", context))], feedback)
        return results


class Align(Algorithm):
    """`hypersharp align`."""

    NAME, TITLE = "align", "Align"
    HELP = "Brings HS and MS to one grid, MS co-registered to HS where the images show a displacement."

    def initAlgorithm(self, config=None):
        self.add_image("HS", "Hyperspectral image (HS)")
        self.add_image("MS", "Multispectral, RGB or pan image (MS)")
        keep = QgsProcessingParameterEnum(
            "KEEP", "Whose pixels stay as they are", ["hs", "ms"], defaultValue="hs", usesStaticStrings=True
        )
        self.add(keep)
        self.add(QgsProcessingParameterFolderDestination("OUTPUT", "Folder of hs.tif and ms.tif"))

    def processAlgorithm(self, parameters, context, feedback):
        hs, ms = (self.image(parameters, name, context) for name in ("HS", "MS"))
        folder = self.parameterAsString(parameters, "OUTPUT", context)
        keep = self.parameterAsEnumString(parameters, "KEEP", context)
        self.call(["align", hs, ms, "-o", folder, "--keep", keep, "--format", "tif"], feedback)
        return {"OUTPUT": folder}


class EstimateSensor(Algorithm):
    """`hypersharp estimate`."""

    NAME, TITLE = "estimatesensor", "Estimate sensor"
    HELP = "Finds the blur of HS and the spectral response of MS in the pair itself."

    def initAlgorithm(self, config=None):
        self.add_image("HS", "Hyperspectral image (HS)")
        self.add_image("MS", "Multispectral, RGB or pan image (MS)")
        self.add(QgsProcessingParameterFileDestination("OUTPUT", "Sensor", "JSON (*.json)"))
        plot = QgsProcessingParameterFileDestination(
            "PLOT", "Picture of blur, responses and residuals", "PNG (*.png)", optional=True, createByDefault=False
        )
        self.add(plot)

    def processAlgorithm(self, parameters, context, feedback):
        hs, ms = (self.image(parameters, name, context) for name in ("HS", "MS"))
        results = {"OUTPUT": self.parameterAsFileOutput(parameters, "OUTPUT", context)}
        words = ["estimate", hs, ms, "-o", results["OUTPUT"]]
        if parameters.get("PLOT"):
            results["PLOT"] = self.parameterAsFileOutput(parameters, "PLOT", context)
            words += ["--plot", results["PLOT"]]
        self.call(words, feedback)
        return results


class Evaluate(Algorithm):
    """`hypersharp evaluate`."""

    NAME, TITLE = "evaluate", "Evaluate"
    HELP = "Judges a result by the pair it was made from (HS and MS), or scores it against a truth, or both."

    def initAlgorithm(self, config=None):
        self.add(QgsProcessingParameterRasterLayer("SHARP", "Sharpened image"))
        self.add_image("HS", "Hyperspectral image (HS)", optional=True)
        self.add_image("MS", "Multispectral, RGB or pan image (MS)", optional=True)
        self.add(QgsProcessingParameterRasterLayer("TRUTH", "Truth", optional=True))
        ratio = QgsProcessingParameterNumber("RATIO", "Fine pixels per coarse one (truth)", optional=True, minValue=1)
        self.add(ratio)
        self.add(QgsProcessingParameterFileDestination("OUTPUT", "Scores", "JSON (*.json)"))
        for name in SCORES:
            self.addOutput(QgsProcessingOutputNumber(name.upper(), name))

    def processAlgorithm(self, parameters, context, feedback):
        words = ["evaluate", path_of(self.parameterAsRasterLayer(parameters, "SHARP", context)), "--json"]
        truth = self.parameterAsRasterLayer(parameters, "TRUTH", context)
        if truth:
            words[2:2] = [path_of(truth)]
            words += ["--ratio", self.parameterAsInt(parameters, "RATIO", context)] if parameters.get("RATIO") else []
        for name in ("HS", "MS"):
            image = self.image(parameters, name, context, optional=True)
            words += [f"--{name.lower()}", image] if image else []
        out = self.parameterAsFileOutput(parameters, "OUTPUT", context)
        said = self.call(words, feedback)
        Path(out).write_text(said, encoding="utf-8")
        return {"OUTPUT": out, **dict(numbers_in(json.loads(said)))}


class Report(Algorithm):
    """`hypersharp report`."""

    NAME, TITLE = "report", "Report"
    HELP = "Makes a page to read of a result: pictures, spectra, errors, decisions, sensor."

    def initAlgorithm(self, config=None):
        self.add(QgsProcessingParameterRasterLayer("SHARP", "Sharpened image"))
        self.add_image("HS", "Hyperspectral image (HS)")
        self.add_image("MS", "Multispectral, RGB or pan image (MS)")
        predicted = QgsProcessingParameterBoolean("UNCERTAINTY", "Predict the error (runs the method again)", True)
        self.add(predicted)
        self.add(QgsProcessingParameterFolderDestination("OUTPUT", "Folder of the report"))
        self.addOutput(QgsProcessingOutputHtml("HTML", "Report"))

    def processAlgorithm(self, parameters, context, feedback):
        sharp = path_of(self.parameterAsRasterLayer(parameters, "SHARP", context))
        hs, ms = (self.image(parameters, name, context) for name in ("HS", "MS"))
        folder = self.parameterAsString(parameters, "OUTPUT", context)
        predicted = self.parameterAsBool(parameters, "UNCERTAINTY", context)
        words = ["report", sharp, "--hs", hs, "--ms", ms, "-o", folder]
        self.call([*words, "--uncertainty" if predicted else "--no-uncertainty"], feedback)
        return {"OUTPUT": folder, "HTML": str(Path(folder) / "report.html")}


class SetUp(Algorithm):
    """Finds the command, or makes an environment with it."""

    NAME, TITLE = "setup", "Set up"
    HELP = (
        "Says which hypersharp command the other algorithms call: one that is there already, or one in an environment "
        "that is made now with venv and pip (some hundred MB). Nothing is installed into QGIS."
    )

    def initAlgorithm(self, config=None):
        there = QgsProcessingParameterFile(
            "COMMAND", "The hypersharp command, where it is installed", optional=True, fileFilter=ANY
        )
        self.add(there)
        folder = QgsProcessingParameterFolderDestination(
            "FOLDER", "... or a folder for a new environment", optional=True, createByDefault=False
        )
        self.add(folder)
        python = QgsProcessingParameterFile("PYTHON", "Python 3.11 or newer for it", optional=True, fileFilter=ANY)
        self.add(python, advanced=True)
        package = QgsProcessingParameterString("PACKAGE", "What pip installs", "hypersharp[geo,report]")
        self.add(package, advanced=True)
        self.addOutput(QgsProcessingOutputString("COMMAND_USED", "Command"))
        self.addOutput(QgsProcessingOutputString("VERSION", "Version"))

    def processAlgorithm(self, parameters, context, feedback):
        stored = self.parameterAsFile(parameters, "COMMAND", context)
        if parameters.get("FOLDER"):
            folder = self.parameterAsString(parameters, "FOLDER", context)
            package = self.parameterAsString(parameters, "PACKAGE", context)
            python = self.parameterAsFile(parameters, "PYTHON", context) or None
            stored = followed(command.make_environment, feedback, folder, package, python)
        found = command.find_command(stored)
        if found is None:
            raise QgsProcessingException("no hypersharp command was found: give one, or a folder for a new environment")
        try:
            version, methods = command.version_of(found), command.methods_of(found)
        except command.Failed as error:
            raise QgsProcessingException(str(error)) from error
        QgsSettings().setValue(STORED, found)
        QgsSettings().setValue(METHODS, " ".join(methods))
        feedback.pushInfo(f"hypersharp {version}: {found}")
        return {"COMMAND_USED": found, "VERSION": version}


def numbers_in(found):
    """The scores in what `evaluate --json` says, by the names of the outputs."""
    for name, value in found.items():
        if isinstance(value, dict):
            yield from numbers_in(value)
        elif name in SCORES and isinstance(value, (int, float)):
            yield name.upper(), value


def split_words(text):
    """The words of further options, quoted where they hold blanks."""
    import shlex

    return shlex.split(text, posix=not command.WINDOWS)


ALGORITHMS = (Sharpen, Align, EstimateSensor, Evaluate, Report, SetUp)
