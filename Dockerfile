# hypersharp on a slim base with a torch for CPUs. In a clone:
#   docker build -t hypersharp .
#   docker run --rm -v "$PWD:/data" -u "$(id -u):$(id -g)" hypersharp fuse hs.tif ms.tif -o sharp.tif
FROM python:3.12-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY packages packages
RUN python -m venv /opt/hypersharp \
    && /opt/hypersharp/bin/pip install --index-url https://download.pytorch.org/whl/cpu "torch>=2.6,<3" \
    && /opt/hypersharp/bin/pip install ".[geo,large,report,view,demo,onnx]" ./packages/hypersharp-weights

FROM python:3.12-slim-bookworm
LABEL org.opencontainers.image.title="hypersharp" org.opencontainers.image.licenses="Apache-2.0"
# g++ and OpenMP compile the fast convolution on first use; libexpat1 is GDAL's. Debian keeps no former versions to pin.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libexpat1 libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 hypersharp
COPY --from=build /opt/hypersharp /opt/hypersharp
ENV PATH=/opt/hypersharp/bin:$PATH HYPERSHARP_CACHE=/tmp/hypersharp MPLCONFIGDIR=/tmp/matplotlib
USER 1000
WORKDIR /data
ENTRYPOINT ["hypersharp"]
CMD ["--help"]
