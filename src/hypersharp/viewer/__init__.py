"""The interactive viewer: scene (images on common ground), composites and maps (numbers), page and session (Bokeh),
job (a fusion in a child process), folders, gate, transfers and server (who may read and write what).
"""
