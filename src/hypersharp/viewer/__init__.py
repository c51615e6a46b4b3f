"""The interactive viewer, from the files up: scene, maps, pictures, lines (what is read and in which colours); page,
stage, readings, forms, view (one browser page); folders, job, gate, transfers, server (what it may touch).
"""
