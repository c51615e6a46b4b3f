"""How a result is shown in QGIS: in true colour, where its bands say their wavelengths."""

from qgis.core import (
    QgsContrastEnhancement,
    QgsMultiBandColorRenderer,
    QgsProcessingLayerPostProcessorInterface,
    QgsRasterMinMaxOrigin,
)

from .bands import true_colour


class TrueColour(QgsProcessingLayerPostProcessorInterface):
    """Styles a layer as it is added to the project."""

    def postProcessLayer(self, layer, context, feedback):
        bands = true_colour([layer.bandName(number) for number in range(1, layer.bandCount() + 1)])
        if bands is None:
            return
        layer.setRenderer(QgsMultiBandColorRenderer(layer.dataProvider(), *bands))
        stretch, limits = QgsContrastEnhancement.StretchToMinimumMaximum, QgsRasterMinMaxOrigin.CumulativeCut
        layer.setContrastEnhancement(stretch, limits)
        layer.triggerRepaint()
