"""The interactive viewer, from the files up: scene, pictures (what is read and in which colours); page, stage,
readings, forms, view (one browser page); folders, job, gate, server (what it may touch).
"""
