"""Who may talk to the viewer, and what can be read and written through it."""

import asyncio
import errno
import http.client
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock
from urllib.parse import quote

import numpy as np
import psutil
import pytest
from bokeh.document import Document
from bokeh.util.token import generate_jwt_token, generate_session_id

from hypersharp.cli import child, large, main
from hypersharp.cube import make_cube
from hypersharp.errors import CallError, InputError
from hypersharp.io import open_cube, save_cube
from hypersharp.methods.table import METHODS as TABLE
from hypersharp.products.rasters import opened_raster
from hypersharp.system.elsewhere import HOSTS
from hypersharp.tiles import run
from hypersharp.viewer import bounds, job, server
from hypersharp.viewer.folders import Folders
from hypersharp.viewer.forms import FuseForm
from hypersharp.viewer.gate import names_of
from hypersharp.viewer.job import Fusion, Order
from hypersharp.viewer.scene import Scene
from hypersharp.viewer.server import Options, Viewer
from hypersharp.viewer.view import View

IMAGE = make_cube(np.arange(48, dtype="f4").reshape(3, 4, 4))
UPLOAD_BYTES = 100_000
PATIENCE_S = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an image, a hidden one, a text, and links that lead out to a secret beside it."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    save_cube(IMAGE, inside / "image.tif")
    save_cube(IMAGE, inside / ".hidden.tif")
    (inside / "notes.txt").write_text("private")
    save_cube(IMAGE, outside / "secret.tif")
    (inside / "link.tif").symlink_to(outside / "secret.tif")
    (inside / "folder").symlink_to(outside)
    return inside


@pytest.fixture
def serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Viewer]]:
    """Viewers of the folder, each in a thread with its own loop, ended afterwards."""
    monkeypatch.setenv(HOSTS, "")  # a viewer sets it for its process
    running: list[tuple[Viewer, threading.Thread]] = []

    def start(**options: Any) -> Viewer:
        ready, made = threading.Event(), list[Viewer]()

        def serving() -> None:
            asyncio.set_event_loop(asyncio.new_event_loop())
            made.append(Viewer([(folder / "image.tif", "image", None)], Options(**options)))
            ready.set()
            made[0].run()

        thread = threading.Thread(target=serving)
        thread.start()
        assert ready.wait(30)
        running.append((made[0], thread))
        return made[0]

    yield start
    for viewer, thread in running:
        viewer.server.io_loop.add_callback(viewer.stop)
        thread.join(20)


def ask(
    viewer: Viewer, path: str, method: str = "GET", body: Any = None, chunked: bool = False, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """One request; Host and Origin are the viewer's own unless given."""
    own = f"127.0.0.1:{viewer.port}"
    sent = {"Host": own, **({"Origin": f"http://{own}"} if method == "POST" else {}), **headers}
    connection = http.client.HTTPConnection("127.0.0.1", viewer.port, timeout=20)
    try:
        connection.request(method, path, body, {k: v for k, v in sent.items() if v}, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}
    finally:
        connection.close()


def websocket(viewer: Viewer, **headers: str) -> int:
    """The status of a request for a websocket (101 where it is given)."""
    handshake = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    lines = [f"{k}: {v}" for k, v in ({"Host": f"127.0.0.1:{viewer.port}"} | handshake | headers).items()]
    with socket.create_connection(("127.0.0.1", viewer.port), timeout=20) as connection:
        connection.sendall(("GET /ws HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode())
        return int(connection.recv(100).split()[1])


def test_the_page_comes_with_everything_from_this_server(serve: Callable[..., Viewer]) -> None:
    viewer = serve()
    assert viewer.token is None
    status, page, _ = ask(viewer, "/")
    assert status == 200
    assert b"hyper<b>sharp</b>" in page
    assert b"static/js/bokeh.min.js" in page
    assert b'src="http' not in page and b'href="http' not in page


def test_a_foreign_origin_is_refused(serve: Callable[..., Viewer]) -> None:
    viewer = serve()
    own = f"http://127.0.0.1:{viewer.port}"
    assert websocket(viewer, Origin=own) == 101
    for origin in ("http://evil.example", f"http://localhost:{viewer.port}", "http://127.0.0.1:1", "null"):
        assert websocket(viewer, Origin=origin) == 403
        assert ask(viewer, "/", Origin=origin)[0] == 403
        assert ask(viewer, "/upload?name=a.tif", "POST", b"x", Origin=origin)[0] == 403
    assert websocket(viewer) == 403
    assert ask(viewer, "/upload?name=a.tif", "POST", b"x", Origin="")[0] == 403


def test_no_other_site_holds_the_page_in_a_frame(serve: Callable[..., Viewer]) -> None:
    viewer = serve()
    for site in ("cross-site", "same-site"):
        for dest in ("iframe", "script", "image", "empty"):
            assert ask(viewer, "/", **{"Sec-Fetch-Site": site, "Sec-Fetch-Dest": dest})[0] == 403
        assert ask(viewer, "/", **{"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "document"})[0] == 200  # a link
    assert ask(viewer, "/", **{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "script"})[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]"])
def test_a_foreign_host_is_refused(serve: Callable[..., Viewer], host: str) -> None:
    viewer = serve()
    assert ask(viewer, "/", Host=host)[0] == 403
    assert ask(viewer, "/static/js/bokeh.min.js", Host=host)[0] == 403
    assert websocket(viewer, Host=host, Origin=f"http://{host}") == 403
    assert ask(viewer, "/", Host="localhost:9999")[0] == 200  # a tunnel


def test_a_host_can_be_allowed(serve: Callable[..., Viewer]) -> None:
    viewer = serve(allow_hosts=("Lab.example",))
    assert ask(viewer, "/", Host="lab.example")[0] == 200


def test_without_the_token_nothing_is_answered(serve: Callable[..., Viewer]) -> None:
    viewer = serve(ask_for_token=True)
    assert viewer.token is not None and len(viewer.token) > 30
    origin = f"http://127.0.0.1:{viewer.port}"
    closed = ("/", "/?token=", "/?token=wrong", "/static/js/bokeh.min.js", "/download?name=image.tif", "/autoload.js")
    for path in closed:
        assert ask(viewer, path)[0] == 403
    assert ask(viewer, "/upload?name=a.npy", "POST", b"x")[0] == 403
    assert websocket(viewer, Origin=origin) == 403
    assert websocket(viewer, Origin=origin, Cookie=f"hypersharp-{viewer.port}=wrong") == 403


def test_the_token_in_the_address_becomes_a_cookie(serve: Callable[..., Viewer]) -> None:
    viewer = serve(ask_for_token=True)
    status, _, headers = ask(viewer, viewer.url.split(str(viewer.port))[1])
    assert status == 302 and headers["location"] == "/"
    assert "HttpOnly" in headers["set-cookie"] and "SameSite=Strict" in headers["set-cookie"]
    cookie = headers["set-cookie"].split(";")[0]
    assert ask(viewer, "/", Cookie=cookie)[0] == 200
    assert websocket(viewer, Origin=f"http://127.0.0.1:{viewer.port}", Cookie=cookie) == 101


def test_beyond_this_machine_a_token_is_always_asked_for(serve: Callable[..., Viewer]) -> None:
    viewer = serve(address="0.0.0.0")
    assert viewer.token
    assert ask(viewer, "/")[0] == 403
    assert ask(viewer, f"/?token={viewer.token}")[0] == 302
    assert socket.gethostname() in viewer.url
    assert "0.0.0.0" not in names_of("0.0.0.0")


ESCAPES = [
    "../outside/secret.tif",
    "folder/secret.tif",
    "link.tif",
    "/etc/passwd",
    "notes.txt",
    ".hidden.tif",
    "nothing.tif",
    "..",
    "",
    "image.tif/../../outside/secret.tif",
    "./../outside/secret.tif",
    "image.tif\0.tif",
]


@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_outside_the_folders_can_be_downloaded(serve: Callable[..., Viewer], folder: Path, name: str) -> None:
    viewer = serve()
    for path in (f"/download?name={quote(name, safe='')}", f"/download?name={quote(str(folder / name), safe='')}"):
        assert ask(viewer, path)[0] in (400, 404)
    with pytest.raises(InputError):
        viewer.folders.existing(name)


def test_downloads_are_the_files(serve: Callable[..., Viewer], folder: Path) -> None:
    viewer = serve()
    status, content, headers = ask(viewer, "/download?name=image.tif")
    assert status == 200
    assert content == (folder / "image.tif").read_bytes()
    assert headers["content-disposition"] == 'attachment; filename="image.tif"'
    assert viewer.folders.images() == ["image.tif"]


def test_paths_into_the_static_files_do_not_lead_out(serve: Callable[..., Viewer]) -> None:
    viewer = serve()
    for path in ("/static/../../../../../../etc/passwd", "/static/%2e%2e/%2e%2e/server.py", "/static//etc/passwd"):
        assert ask(viewer, path)[0] in (403, 404)


def test_uploads_appear_whole(serve: Callable[..., Viewer], folder: Path) -> None:
    viewer = serve(most_upload_bytes=UPLOAD_BYTES)
    content = (folder / "image.tif").read_bytes()
    assert ask(viewer, "/upload?name=new.tif", "POST", content)[0] == 200
    assert (folder / "new.tif").read_bytes() == content
    assert ask(viewer, "/upload?name=new.tif", "POST", b"other")[0] == 400
    assert (folder / "new.tif").read_bytes() == content
    assert not list(folder.glob(".upload*"))


@pytest.mark.parametrize("chunked", [False, True])
def test_an_oversized_upload_is_refused(serve: Callable[..., Viewer], folder: Path, chunked: bool) -> None:
    viewer = serve(most_upload_bytes=UPLOAD_BYTES)
    before = sorted(folder.iterdir())
    body = iter([b"x" * 50_000] * 40) if chunked else b"x" * (UPLOAD_BYTES + 1)
    length = {"Transfer-Encoding": "chunked"} if chunked else {}
    with suppress(ConnectionError, http.client.HTTPException):  # the connection may be closed in the midst of it
        assert ask(viewer, "/upload?name=big.tif", "POST", body, chunked, **length)[0] in (400, 413)
    assert ask(viewer, "/")[0] == 200
    assert sorted(folder.iterdir()) == before


def test_a_broken_upload_leaves_nothing(serve: Callable[..., Viewer], folder: Path) -> None:
    viewer = serve(most_upload_bytes=UPLOAD_BYTES)
    before = sorted(folder.iterdir())
    with socket.create_connection(("127.0.0.1", viewer.port), timeout=20) as connection:
        own = f"127.0.0.1:{viewer.port}"
        lines = ["POST /upload?name=a.tif HTTP/1.1", f"Host: {own}", f"Origin: http://{own}", "Content-Length: 9000"]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + b"x" * 1000)
        assert until(lambda: sorted(folder.iterdir()) != before)
    assert until(lambda: sorted(folder.iterdir()) == before)


@pytest.mark.parametrize(
    "name", ["../a.tif", "/tmp/a.tif", "folder/a.tif", ".a.tif", "a.txt", "a.nc", "a.hdr", "", "image.tif", "a\n.tif"]
)
def test_uploads_have_plain_names(serve: Callable[..., Viewer], folder: Path, name: str) -> None:
    viewer = serve(most_upload_bytes=UPLOAD_BYTES)
    before = sorted(folder.parent.rglob("*"))
    assert ask(viewer, f"/upload?name={quote(name, safe='')}", "POST", b"x")[0] == 400
    assert sorted(folder.parent.rglob("*")) == before
    with pytest.raises((CallError, InputError)):
        viewer.folders.new(name, (".tif",))


def test_every_answer_tells_the_browser_what_may_run(serve: Callable[..., Viewer]) -> None:
    viewer = serve()
    answers = [ask(viewer, path) for path in ("/", "/page.js", "/static/js/bokeh.min.js", "/download?name=image.tif")]
    answers += [ask(viewer, "/nothing"), ask(viewer, "/", Origin="http://evil.example"), ask(viewer, "/autoload.js")]
    assert [status for status, _, _ in answers] == [200, 200, 200, 200, 404, 403, 404]
    for _, _, headers in answers:
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'" == policy["base-uri"] and headers["x-frame-options"] == "DENY"
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    page = answers[0][1].decode()
    inline = [tag for tag in re.findall(r"<script[^>]*>", page) if "src=" not in tag]
    assert inline == ['<script type="application/json" id="items">'] and not re.findall(r"\son\w+=", page)


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://]"])
def test_a_malformed_origin_is_one_line(serve: Callable[..., Viewer], origin: str) -> None:
    viewer = serve()
    assert websocket(viewer, Origin=origin) in (400, 403)
    status, answer, _ = ask(viewer, "/", Origin=origin)
    assert status in (400, 403) and b"Traceback" not in answer and answer.startswith(b"refused: a")


def test_names_that_are_too_long_are_refused(serve: Callable[..., Viewer], folder: Path) -> None:
    viewer = serve()
    for length in (256, 3_000, 60_000):
        name = "a" * length + ".tif"
        assert ask(viewer, f"/download?name={name}")[0] == 400
        assert ask(viewer, f"/upload?name={name}", "POST", b"x")[0] == 400
        with pytest.raises(InputError):
            viewer.folders.existing(name)
    assert viewer.folders.images() == ["image.tif"]


def test_who_opens_too_many_pages_waits_and_others_do_not(
    serve: Callable[..., Viewer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST_OPENED", 1)
    monkeypatch.setattr(bounds, "WITHIN_S", 1000.0)
    viewer = serve()
    answers = [ask(viewer, "/") for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 429, 429]
    assert answers[-1][2]["retry-after"] == "1000"
    assert ask(viewer, "/download?name=image.tif")[0] == 200
    guard = bounds.Bounds(viewer.server._tornado)
    assert [bool(guard.begin("greedy")) for _ in range(3)] == [True, False, False] and guard.begin("other")


@pytest.mark.skipif(sys.platform != "linux", reason="many addresses of one machine")
def test_of_many_addresses_at_once_few_get_a_page_and_the_others_an_answer(serve: Callable[..., Viewer]) -> None:
    viewer = serve()
    viewer.server.io_loop.add_callback(time.sleep, 1)  # all have come when it goes on
    visitors = list[socket.socket]()
    for number in range(12):
        address = f"127.0.9.{number + 1}", 0
        visitors.append(
            socket.create_connection(("127.0.0.1", viewer.port), timeout=PATIENCE_S, source_address=address)
        )
        visitors[-1].sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{viewer.port}\r\n\r\n".encode())
    statuses = [int(visitor.recv(12).split()[1]) for visitor in visitors]
    assert sorted(set(statuses)) == [200, 429] and statuses.count(200) <= bounds.MOST_MADE + 2
    for visitor in visitors:
        visitor.close()


def test_pages_open_at_once_are_bounded(serve: Callable[..., Viewer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_PAGES_EACH", 1)
    monkeypatch.setattr(server, "UNUSED_PAGE_MS", 1_000_000)
    viewer = serve()
    assert [ask(viewer, "/")[0] for _ in range(2)] == [200, 503]


def test_a_page_cannot_be_had_with_a_token_of_ones_own(serve: Callable[..., Viewer]) -> None:
    viewer = serve()
    forged = generate_jwt_token(generate_session_id())
    assert ask(viewer, f"/?bokeh-token={forged}")[0] == 403
    assert ask(viewer, "/?bokeh-session-id=mine")[0] == 403
    assert not viewer.server.get_sessions("/")


def test_connections_are_bounded(serve: Callable[..., Viewer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_CONNECTIONS_EACH", 2)
    viewer, place = serve(), ("127.0.0.1",)
    slow = [socket.create_connection((*place, viewer.port), timeout=20) for _ in range(3)]
    for connection in slow:
        with suppress(ConnectionError):
            connection.sendall(b"GET / HTTP/1.1\r\n")  # and no more
    with suppress(ConnectionError):
        assert slow[2].recv(1) == b""
    for connection in slow:
        connection.close()
    assert until(lambda: is_answered(viewer))


def test_slow_visitors_do_not_stop_others_and_are_cut_off(
    serve: Callable[..., Viewer], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that do not end, uploads that bring nothing, and downloads that nobody takes."""
    monkeypatch.setattr(bounds, "IDLE_S", 1.0)
    monkeypatch.setattr(bounds, "MOST_TRANSFERS_EACH", 10)
    (folder / "large.tif").write_bytes(bytes(2**25))
    viewer = serve()
    own = f"Host: 127.0.0.1:{viewer.port}\r\nOrigin: http://127.0.0.1:{viewer.port}\r\n"
    slow = []
    for number in range(5):
        for request in (
            f"GET / HTTP/1.1\r\n{own}X-Slow: ",
            f"POST /upload?name={number}.npy HTTP/1.1\r\n{own}Content-Length: 9999\r\n\r\n",
            f"GET /download?name=large.tif HTTP/1.1\r\n{own}\r\n",
        ):
            slow.append(socket.create_connection(("127.0.0.1", viewer.port), timeout=20))
            slow[-1].sendall(request.encode())
    assert ask(viewer, "/page.css")[0] == 200
    assert until(lambda: len(list(folder.glob(".*.partial"))) == 5)
    assert ask(viewer, "/download?name=image.tif")[0] == 503  # ten files are on their way
    assert until(lambda: ask(viewer, "/download?name=image.tif")[0] == 200)
    assert until(lambda: not bounds.TransferHandler.transfers and not list(folder.glob(".*.partial")))
    for connection in slow:
        with suppress(ConnectionError):
            assert sum(map(len, iter(lambda: connection.recv(2**20), b""))) < 2**25  # noqa: B023
        connection.close()


def test_the_address_with_most_files_under_way_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_TRANSFERS", 3)
    monkeypatch.setattr(bounds.IOLoop, "current", Mock())
    application, cut = object(), Mock()

    def begun(address: str, moved: int = 0) -> bool:
        request = SimpleNamespace(remote_ip=address, connection=SimpleNamespace(stream=SimpleNamespace(close=cut)))
        transfer = bounds.TransferHandler.__new__(bounds.TransferHandler)
        transfer.application, transfer.request, transfer.moved = application, request, moved  # type: ignore[assignment]
        kept.append(transfer)
        return transfer.begin()

    kept = list[bounds.TransferHandler]()
    assert begun("greedy", 9) and begun("greedy", 5) and begun("greedy", 7) and not begun("greedy")
    assert begun("ordinary") and begun("third") and cut.call_count == 2
    assert [one in bounds.TransferHandler.transfers for one in kept] == [True, False, False, False, True, True]
    assert not begun("fourth")  # each has one
    for one in kept:
        one.on_finish()


def is_answered(viewer: Viewer) -> bool:
    try:
        return ask(viewer, "/download?name=image.tif")[0] == 200
    except (ConnectionError, http.client.HTTPException):
        return False


def test_a_full_disk_refuses_an_upload_in_words(
    serve: Callable[..., Viewer], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    viewer, before = serve(), sorted(folder.iterdir())
    monkeypatch.setattr("hypersharp.viewer.folders.os.replace", full)
    status, answer, _ = ask(viewer, "/upload?name=new.tif", "POST", b"x")
    assert status == 507 and b"no space left" in answer
    assert sorted(folder.iterdir()) == before


def test_what_a_killed_viewer_left_goes_with_the_next_upload(serve: Callable[..., Viewer], folder: Path) -> None:
    (folder / ".new.tif.dead.partial").mkdir()
    (folder / ".new.tif.dead.partial" / "new.tif").write_bytes(b"half")
    assert ask(serve(), "/upload?name=new.tif", "POST", b"whole")[0] == 200
    assert not list(folder.glob("*.partial")) and (folder / "new.tif").read_bytes() == b"whole"


def test_work_that_a_newer_wish_overtakes_is_not_done(serve: Callable[..., Viewer]) -> None:
    """Whoever asks a lot takes no thread from the others for what nobody waits for any more."""
    page, done = View(Document(), serve().shared).page, list[int]()
    runs: list[Any] = []
    page.doc.add_next_tick_callback = runs.append  # type: ignore[method-assign, assignment]

    def note(number: int) -> int:
        done.append(number)
        return number

    for number in range(5):
        page.work("paint", partial(note, number), lambda _: None)

    async def all_of_them() -> None:
        await asyncio.gather(*(run() for run in list(runs)))

    asyncio.run(all_of_them())
    assert done == [4]


def test_folders_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        Folders.of([tmp_path / "nothing"])


def test_the_command_line_says_what_is_wrong(
    serve: Callable[..., Viewer], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = [str(folder / "image.tif"), "--port", str(serve().port)]
    view = [sys.executable, "-m", "hypersharp", "view"]
    done = subprocess.run([*view, *taken], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "cannot be bound" in done.stderr and "Traceback" not in done.stderr, done.stderr
    for words, code, message in ([str(folder / "nothing.tif")], 1, "no file"), ([], 2, "found no image"):
        with pytest.raises(SystemExit) as stop:
            main(["view", *words])
        assert stop.value.code == code and message in capsys.readouterr().err


def test_the_form_offers_all_methods(serve: Callable[..., Viewer]) -> None:
    assert View(Document(), serve().shared).page.fuse_method.options == ["auto", *TABLE]


def pair_in(folder: Path) -> Order:
    """A small pair and where its fusion goes."""
    scene = np.random.default_rng(0).uniform(0.1, 0.9, (5, 24, 24)).astype("f4")
    save_cube(make_cube(scene.reshape(5, 12, 2, 12, 2).mean((2, 4))), folder / "hs.tif")
    save_cube(make_cube(scene[:3]), folder / "ms.tif")
    return Order(str(folder / "hs.tif"), str(folder / "ms.tif"), str(folder / "sharp.tif"), "bicubic")


def until(condition: Callable[[], object]) -> bool:
    """Wait for a condition; whether it came to hold."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


def children() -> list[psutil.Process]:
    """The fusions that run."""
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


async def running(order: Order) -> tuple[Fusion, psutil.Process]:
    """A fusion that has begun, and its process."""
    before, fusion = children(), Fusion()
    fusion.start(order)
    with pytest.raises(RuntimeError):
        fusion.start(order)
    deadline = time.monotonic() + PATIENCE_S
    while children() == before and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    (process,) = (child for child in children() if child not in before)
    return fusion, process


def ended(order: Order) -> Fusion:
    """A fusion after its end."""

    async def act() -> Fusion:
        fusion, _ = await running(order)
        await fusion.wait()
        return fusion

    return asyncio.run(act())


def test_a_fusion_ends_with_its_result(tmp_path: Path) -> None:
    fusion = ended(pair_in(tmp_path))
    assert (fusion.state, fusion.fraction) == ("done", 1.0)
    assert fusion.notes[0].startswith("method bicubic, ratio 2")
    assert {path.name for path in tmp_path.iterdir()} == {"hs.tif", "ms.tif", "sharp.tif"}


def test_a_scene_too_large_for_the_memory_is_fused_in_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order = replace(pair_in(tmp_path), uncertainty=str(tmp_path / "half.tif"))
    monkeypatch.setattr(large, "too_large", lambda *_, **__: "too large")
    monkeypatch.setattr(run.TiledOptions, "processes", lambda _: 1)
    child.fuse_files(order)
    notes = capsys.readouterr().out
    assert "too large" in notes and "1 tile" in notes
    assert open_cube(order.out).shape == open_cube(tmp_path / "half.tif").shape == (5, 24, 24)


def test_a_cancelled_fusion_leaves_neither_file_nor_process(tmp_path: Path) -> None:
    async def act() -> tuple[Fusion, psutil.Process]:
        fusion, process = await running(pair_in(tmp_path))
        fusion.cancel()
        await fusion.wait()
        return fusion, process

    fusion, process = asyncio.run(act())
    assert fusion.state == "cancelled"
    assert not process.is_running()
    assert {path.name for path in tmp_path.iterdir()} == {"hs.tif", "ms.tif"}


def test_a_server_that_ends_takes_its_fusion_along(tmp_path: Path) -> None:
    async def act() -> psutil.Process:
        fusion, process = await running(pair_in(tmp_path))
        assert list(tmp_path.glob(".sharp.tif.*"))
        fusion.close()
        assert not list(tmp_path.glob(".sharp.tif.*"))
        await fusion.wait()
        assert fusion.state == "failed"
        return process

    assert not asyncio.run(act()).is_running()
    assert not (tmp_path / "sharp.tif").exists()


def test_a_failed_fusion_says_why(tmp_path: Path) -> None:
    order = pair_in(tmp_path)
    fusion = ended(Order(order.ms, order.hs, order.out, "bicubic"))
    assert fusion.state == "failed"
    assert "swap the two" in fusion.notes[0]
    assert not (tmp_path / "sharp.tif").exists()


@pytest.mark.parametrize("written", ["'not JSON'", "5", "'x' * 2**17", "'x' * 2**23"])
def test_a_result_whose_name_was_taken_meanwhile_is_kept_beside_and_nothing_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    """A child that writes this to its messages, while somebody puts a file where the result was to be."""
    (tmp_path / "odd_child.py").write_text(
        "import json, pathlib, sys\n"
        "order = json.loads(sys.argv[1])\n"
        "out = pathlib.Path(order['out'])\n"
        "out.write_text('result')\n"
        "pathlib.Path(order['uncertainty']).write_text('widths')\n"
        "(out.parents[1] / out.name).write_text('mine')\n"
        f"print({written}, flush=True)\n"
    )
    monkeypatch.setattr(job, "CHILD", "odd_child")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    out, half = tmp_path / "sharp.tif", tmp_path / "sharp-uncertainty.tif"
    fusion = ended(Order("hs.tif", "ms.tif", str(out), uncertainty=str(half)))
    assert "\n" not in fusion.notes[-1]
    assert out.read_text() == "mine"
    if "23" in written:  # a message that is too long
        assert fusion.state == "failed" and "ValueError: " in fusion.notes[-1]
        assert {path.name for path in tmp_path.iterdir()} == {"odd_child.py", "sharp.tif"}
        return
    assert fusion.state == "done"
    assert fusion.notes[-1] == "sharp.tif is another file by now: the result is sharp-2.tif"
    kept = tmp_path / "sharp-2.tif", tmp_path / "sharp-2-uncertainty.tif"
    assert (fusion.out, fusion.uncertainty) == kept
    assert [path.read_text() for path in kept] == ["result", "widths"]
    assert {path.name for path in tmp_path.iterdir()} == {"odd_child.py", "sharp.tif", *(path.name for path in kept)}


def test_a_fusion_into_a_folder_that_is_gone_fails(tmp_path: Path) -> None:
    async def act() -> Fusion:
        fusion = Fusion()
        fusion.start(Order("hs.tif", "ms.tif", str(tmp_path / "gone" / "sharp.tif")))
        await fusion.wait()
        return fusion

    fusion = asyncio.run(act())
    assert fusion.state == "failed"
    assert f"no folder {tmp_path / 'gone'}" in fusion.notes[0]


def test_products_are_listed_and_opened(
    serve: Callable[..., Viewer], folder: Path, product: Callable[..., Path]
) -> None:
    for name in ("sentinel2", "prisma"):
        (shutil.copytree if product(name).is_dir() else shutil.copy)(product(name), folder / product(name).name)
    viewer = serve()
    names = [product(name).name for name in ("prisma", "sentinel2")]
    assert viewer.folders.images() == [names[0], names[1], "image.tif"]
    scene = Scene()
    layers = scene.open([(viewer.folders.existing(name), "image", None) for name in (*names, f"{names[0]}:pan")])
    assert [layer.bands for layer in layers] == [44, 4, 1] and scene.crs.to_epsg() == 32633
    patch = layers[1].patch([0], None, (50, 50))
    assert patch is not None and patch.values.shape == (1, 50, 50)
    with pytest.raises(InputError):
        viewer.folders.existing("notes.txt")


def test_addresses_are_read_at_allowed_hosts_alone(serve: Callable[..., Viewer], folder: Path) -> None:
    """Whatever way an address is written in which GDAL and Python might see another host."""
    viewer = serve(read_hosts=("Data.example", "127.0.0.1:8000", "sentinel-cogs"))
    for name in ("https://data.example/a.tif", "http://127.0.0.1:8000/item.json:red,nir", "s3://sentinel-cogs/a.tif"):
        assert viewer.folders.existing(name) == Path(name)
    for name in (
        "https://other.example/a.tif",
        "https://data.example@other.example/a.tif",
        "https://other.example\\@data.example/a.tif",
        "https://other.example#data.example/a.tif",
        "http://127.0.0.1:9000/a.tif",
        "http://127.0.0.1/a.tif",
        "s3://private/a.tif",
    ):
        with pytest.raises(
            InputError, match=r"an address at .* one at data\.example, 127\.0\.0\.1:8000, sentinel-cogs"
        ):
            viewer.folders.existing(name)
    for name in ("/vsicurl/https://data.example/a.tif", f"/vsizip/{folder}/a.zip/a.tif", "ftp://data.example/a.tif"):
        with pytest.raises(InputError, match="not offered here"):
            viewer.folders.existing(name)
    with pytest.raises(InputError, match=r"other\.example"):  # what an item there names
        opened_raster("https://other.example/a.tif").__enter__()
    assert serve().folders.images() == viewer.folders.images()
    with pytest.raises(InputError, match="an image on this machine"):  # none is allowed by default
        viewer.folders.existing("https://data.example/a.tif")


@pytest.mark.parametrize(
    ("name", "what", "value"),
    [
        ("view", "data", {"x0": ["a"], "y0": [0], "x1": [1], "y1": [1], "width": [9], "height": [9]}),
        ("pick", "data", {"x": ["band"], "y": [None]}),
        ("layer_a", "value", {"no": "name"}),
        ("band_r", "value", "nan"),
    ],
)
def test_a_page_that_sends_nonsense_is_told_so(folder: Path, name: str, what: str, value: Any) -> None:
    scene = server.Scene()
    scene.open([(folder / "image.tif", "image", None)])
    page = View(Document(), server.Shared(scene, Folders.of([folder]), Fusion(), "a page")).page
    model = next(model for model in page.doc.models if model.name == name)
    setattr(model, what, value)
    assert "makes no sense" in page.notice.text


def test_tokens_and_lengths_that_are_none_are_refused_in_a_line(
    serve: Callable[..., Viewer], caplog: pytest.LogCaptureFixture
) -> None:
    viewer = serve()
    own = f"http://127.0.0.1:{viewer.port}"
    assert websocket(viewer, Origin=own, **{"Sec-WebSocket-Protocol": "bokeh, x"}) == 403
    assert ask(viewer, "/upload?name=a.tif", "POST", b"x", **{"Content-Length": "{}"})[0] == 400
    assert "Traceback" not in caplog.text


def test_links_within_an_image_do_not_lead_out_either(folder: Path) -> None:
    for name in ("a.zarr", "bands", "b.img"):
        save_cube(IMAGE, folder / name)
    secret = folder.parent / "outside" / "secret.tif"
    for inside in ("a.zarr/cube/0.0.0", "bands/band_01.png", "b.img"):
        file = folder / inside if (folder / inside).exists() else next((folder / "bands").glob("*.*"))
        file.unlink()
        file.symlink_to(secret)
    for name in ("a.zarr", "bands", "b.hdr"):
        with pytest.raises(InputError, match="a path that is not offered here"):
            Folders.of([folder]).existing(name)
    assert Folders.of([folder]).existing("image.tif")


def test_pages_that_take_long_to_make_leave_time_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = bounds.Bounds(None)
    first = limits.begin("one")
    assert first is not None and limits.begin("one") and limits.begin("one")
    assert limits.begin("one") is None  # three are being made
    assert limits.begin("another") is not None
    assert limits.begin("another") is None  # as long as three or more are being made
    assert limits.begin("third") is None  # four are
    for opening in limits.opened["one"]:
        opening.took_s = 0.1
    assert limits.begin("one") is not None
    first.took_s = bounds.WITHIN_S
    assert limits.begin("one") is None  # they took more than half of the time
    monkeypatch.setattr(bounds, "WITHIN_S", 0.0)
    assert limits.begin("one") is not None


@pytest.mark.parametrize(("name", "following"), [("sharp-9.tif", "sharp-10.tif"), ("sharp-².tif", "sharp-²-2.tif")])
def test_the_next_result_gets_another_name(name: str, following: str) -> None:
    page = SimpleNamespace(fuse_name=SimpleNamespace(value=name), say=lambda text: None)
    form = SimpleNamespace(show=lambda made: None, page=page)
    FuseForm.show_result(form, [SimpleNamespace(name="sharp")])  # type: ignore[arg-type]
    assert page.fuse_name.value == following
