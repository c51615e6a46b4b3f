"""A fusion on a cluster whose machines share nothing but object storage; not part of the suite, it takes a minute.

    python tests/two_nodes.py FOLDER

An S3 (moto) holds HS as Zarr and MS as a cloud-optimized GeoTIFF. Two dask workers, processes with a working folder,
HOME and TMPDIR of their own each, read them there and write the result there; it must be that of `hsp.fuse` in memory.
"""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster, get_task_stream
from moto.server import ThreadedMotoServer

import hypersharp as hsp
from hypersharp.system.elsewhere import storage
from test_tiles_run import pair

BUCKET = "s3://nodes"
OPTIONS = {"method": "gsa", "coregister": "shift", "precision": "fp32", "device": "cpu"}
KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1"}


def main(folder: Path) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= KEYS | {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "no_proxy": host, "NO_PROXY": host}
    hs, ms = pair()
    with storage(Path(BUCKET)) as (files, name):
        files.mkdir(name)
        files.put_file(str(hsp.save(ms, folder / "ms.cog.tif")), f"{name}/ms.cog.tif")
    (folder / "ms.cog.tif").unlink()
    hsp.save(hs, f"{BUCKET}/hs.zarr")
    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(n_workers=0, dashboard_address=None))
        client = stack.enter_context(Client(cluster))
        for number in range(2):
            stack.enter_context(Node(folder / f"node-{number}", cluster.scheduler_address))
        client.wait_for_workers(2)
        with get_task_stream(client) as stream:
            coarse = hsp.open(f"{BUCKET}/hs.zarr", lazy=True)
            fine = hsp.open(f"{BUCKET}/ms.cog.tif", lazy=True).chunk({"y": 64, "x": 64})
            hsp.save(hsp.fuse(coarse, fine, **OPTIONS), f"{BUCKET}/sharp.zarr")
        done = [task["worker"] for task in stream.data]
    found, whole = hsp.open(f"{BUCKET}/sharp.zarr"), hsp.fuse(hs, ms, **OPTIONS)
    gap = float(np.abs(found.values - whole.values).max() / np.ptp(whole.values))
    shares = ", ".join(str(done.count(worker)) for worker in sorted(set(done)))
    print(f"tasks of each worker: {shares}; largest difference to the fusion in memory: {gap:.1e} of the range")
    assert len(set(done)) == 2 and gap < 1e-4
    server.stop()


class Node:
    """A dask worker in a folder of its own, which ends with the block."""

    def __init__(self, folder: Path, scheduler: str) -> None:
        folder.mkdir()
        own = {"HOME": str(folder), "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
        words = ["worker", scheduler, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", "."]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dask", *words], cwd=folder, env=os.environ | own, stderr=subprocess.DEVNULL
        )

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True)
    main(Path(sys.argv[1]).resolve())
