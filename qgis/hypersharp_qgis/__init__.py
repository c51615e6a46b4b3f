"""hypersharp in QGIS: Processing algorithms that call the `hypersharp` command in an environment of its own.

Only the standard library and QGIS are imported: torch and its relatives stay out of QGIS's Python.
"""


def classFactory(iface):
    """The plugin, as QGIS asks for it."""
    from .plugin import Plugin

    return Plugin()
