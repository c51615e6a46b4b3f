"""Results in object storage: an S3 on this machine (moto), written whole or not at all, and read again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypersharp.cli import main
from hypersharp.cube import make_cube
from hypersharp.errors import CallError, InputError, OutputError
from hypersharp.io import check_output, open_cube, save_cube
from hypersharp.io.image import Image
from hypersharp.system.elsewhere import storage
from hypersharp.tiles.run import TiledOptions, prepare
from test_io_roundtrip import full_cube

pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of a bucket, `AWS_ENDPOINT_URL` and the like being set."""
    with pytest.MonkeyPatch.context() as patch:
        running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        running.start()
        host, port = running.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "no_proxy": "127.0.0.1",
            "NO_PROXY": "127.0.0.1",
        }.items():
            patch.setenv(name, value)
        with storage(Path("s3://results/x")) as (files, _):
            files.mkdir("results")
        yield "s3://results"
        running.stop()


def names(bucket: str) -> list[str]:
    with storage(Path(bucket)) as (files, name):
        return sorted(files.find(name))


@pytest.mark.parametrize("lazy", [False, True])
def test_a_zarr_store_is_written_and_read(bucket: str, lazy: bool) -> None:
    cube = full_cube()
    for _ in range(2):  # the second takes the place of the first
        path = save_cube(cube.chunk({"y": 3}) if lazy else cube, f"{bucket}/folder/{lazy}.zarr")
        assert str(path) == f"s3:/results/folder/{lazy}.zarr"
    found = open_cube(f"{bucket}/folder/{lazy}.zarr")
    assert found.identical(cube.assign_attrs(found.attrs)) and not [n for n in names(bucket) if "partial" in n]
    with pytest.raises(OutputError, match="is there already"):
        save_cube(cube, f"{bucket}/folder/{lazy}.zarr", overwrite=False)


def test_what_fails_leaves_what_was_there(bucket: str) -> None:
    good, address = make_cube(np.ones((2, 4, 4))), f"{bucket}/kept.zarr"
    save_cube(good, address)
    before, bad = names(bucket), make_cube(np.ones((2, 8, 8))).chunk({"y": 4})

    def broken(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info[0]["chunk-location"][1]:
            raise OSError("a disk that is gone")
        return block

    with pytest.raises(OutputError, match=r"kept\.zarr out of reach \(a disk that is gone\)"):
        save_cube(bad.copy(data=bad.data.map_blocks(broken, dtype=bad.dtype)), address)
    assert names(bucket) == before and open_cube(address).shape == (2, 4, 4)


def test_what_is_no_store_is_neither_read_nor_replaced(bucket: str) -> None:
    with storage(Path(f"{bucket}/mine.zarr/notes.txt")) as (files, name):
        files.pipe_file(name, b"text")
    with pytest.raises(OutputError, match="with other files in it"):
        check_output(f"{bucket}/mine.zarr")
    for name in ("mine.zarr", "none.zarr"):
        with pytest.raises(InputError, match="no Zarr store"):
            open_cube(f"{bucket}/{name}")
    with pytest.raises(OutputError, match=r"out of reach .*, expected a bucket that you may use"):
        check_output("s3://elsewhere/x.zarr")


@pytest.mark.parametrize("address", ["s3://results/x.tif", "s3://results/x", "https://host/x.zarr", "/vsis3/a/x.tif"])
def test_what_cannot_be_written_there_is_one_line(address: str) -> None:
    with pytest.raises(CallError, match=r"elsewhere, expected s3://.*\.zarr, or a path on this machine"):
        check_output(address)


def test_the_command_writes_there_whole_and_in_tiles(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    save_cube(make_cube(random.random((5, 16, 16)).astype("f4")), "hs.npy")
    save_cube(make_cube(random.random((1, 64, 64)).astype("f4")), "ms.npy")
    words = ["fuse", "hs.npy", "ms.npy", "--method", "bicubic", "--coregister", "none"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "-o", f"{bucket}/whole.zarr"])
    assert not ended.value.code, capsys.readouterr().err
    run = prepare(
        *(Image(tmp_path / f"{name}.npy") for name in ("hs", "ms")),
        Path(f"{bucket}/tiled.zarr"),
        method="bicubic",
        tiles=TiledOptions(workers=1, side_px=32),
    )
    assert run.store.folder.resolve() == tmp_path / ".tiled.zarr.tiles"
    run.carry_out()
    whole, tiled = (open_cube(f"{bucket}/{name}.zarr") for name in ("whole", "tiled"))
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    assert "hypersharp" in whole.attrs and not list(tmp_path.glob(".*"))
    with pytest.raises(SystemExit) as ended:
        main([*words, "-o", f"{bucket}/x.zarr", "--envi-header"])
    assert ended.value.code == 2
