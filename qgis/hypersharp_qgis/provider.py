"""The provider: its name in the toolbox, and its algorithms."""

from qgis.core import QgsProcessingProvider

from .algorithms import ALGORITHMS


class Provider(QgsProcessingProvider):
    """hypersharp in the Processing toolbox."""

    def id(self):
        return "hypersharp"

    def name(self):
        return "hypersharp"

    def longName(self):
        return "hypersharp: hyperspectral sharpening"

    def loadAlgorithms(self):
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())
