"""The sensor model: blur and decimation (psf), spectral response (srf), and both applied (observe)."""
