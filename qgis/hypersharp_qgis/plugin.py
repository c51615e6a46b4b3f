"""The plugin: adds the provider to Processing, and takes it away."""

from qgis.core import QgsApplication

from .provider import Provider


class Plugin:
    """What QGIS loads; it has no interface of its own but the Processing toolbox."""

    def __init__(self):
        self.provider = None

    def initProcessing(self):
        """Called alone by qgis_process."""
        self.provider = Provider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self):
        self.initProcessing()

    def unload(self):
        QgsApplication.processingRegistry().removeProvider(self.provider)
