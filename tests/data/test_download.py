"""Downloading, from a web server of our own on this machine."""

import http.server
import subprocess
import sys
import threading

import pytest

from cnnexp.data import download
from cnnexp.data.files import File
from cnnexp.errors import DataError
from tests.data.made import NAMES, PACKED, UNPACKED, Tiny, digest, put


class Server(http.server.ThreadingHTTPServer):
    """Serves the four files, and notes what was asked for; `answer` may step in."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.answer = None
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.lstrip("/")
        self.server.asked.append(name)
        status, content = 200, PACKED.get(name, b"")
        if self.server.answer is not None:
            status, content = self.server.answer(name, self.server.asked.count(name))
        self.send_response(status)
        if isinstance(content, Slow):
            content.send(self)
            return
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Slow:
    """An answer that announces a length, if any, and comes in parts with pauses."""

    def __init__(self, parts, pause=0.0, length=None):
        self.parts, self.pause, self.length = parts, pause, length

    def send(self, handler):
        if self.length is not None:
            handler.send_header("Content-Length", str(self.length))
        handler.end_headers()
        for part in self.parts:
            try:
                handler.wfile.write(part)
                handler.wfile.flush()
            except OSError:  # the other side has had enough
                return
            threading.Event().wait(self.pause)


@pytest.fixture
def servers():
    """Two mirrors."""
    pair = [Server(), Server()]
    yield pair
    for server in pair:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Pooch waits some seconds before it tries again."""
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def source(servers, tmp_path, monkeypatch):
    monkeypatch.setattr(Tiny, "mirrors", tuple(server.url for server in servers))
    return Tiny(dir=str(tmp_path / "tiny"))


def present(source):
    return sorted(path.name for path in source.folder.iterdir() if not path.name.startswith("."))


def test_absent_files_are_downloaded(source, servers):
    raw = source.load()
    assert raw.Y.tolist() == [0, 1, 2, 3, 4, 5]
    assert present(source) == sorted(PACKED)
    assert sorted(servers[0].asked) == sorted(PACKED)
    assert servers[1].asked == []


def test_nothing_is_downloaded_twice(source, servers):
    source.load()
    source.load()
    assert len(servers[0].asked) == 4


def test_only_what_is_absent_is_downloaded(source, servers):
    put(source.folder, packed=False)
    (source.folder / NAMES[1]).unlink()
    source.load()
    assert servers[0].asked == [f"{NAMES[1]}.gz"]


def test_a_broken_mirror_is_passed_over(source, servers):
    servers[0].answer = lambda name, time: (404, b"gone")
    source.load()
    assert len(servers[1].asked) == 4


def test_a_mirror_that_is_not_there_is_passed_over(source, servers, monkeypatch):
    monkeypatch.setattr(Tiny, "mirrors", ("http://127.0.0.1:1/", servers[1].url))
    source.load()
    assert len(servers[1].asked) == 4


def test_a_wrong_file_is_passed_over_and_not_kept(source, servers):
    servers[0].answer = lambda name, time: (200, b"another file")
    assert source.load().Y.tolist() == [0, 1, 2, 3, 4, 5]
    for name, content in PACKED.items():
        assert (source.folder / name).read_bytes() == content


def test_a_mirror_is_tried_again(source, servers):
    """The first answer to each request is an error of the server, or cut short."""
    servers[0].answer = lambda name, time: (200, PACKED[name][: None if time > 1 else 20])
    source.load()
    assert len(servers[0].asked) == 8
    assert servers[1].asked == []


def test_a_mirror_that_does_not_answer_is_given_up(source, servers, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    monkeypatch.setattr(download, "RETRIES", 0)
    servers[0].answer = lambda name, count: threading.Event().wait(1) or (200, PACKED[name])
    (source.folder).mkdir()
    put(source.folder, packed=False)
    (source.folder / NAMES[1]).unlink()
    source.load()
    assert servers[1].asked == [f"{NAMES[1]}.gz"]


ONE = File(NAMES[1], digest(PACKED[f"{NAMES[1]}.gz"]), digest(UNPACKED[NAMES[1]]), most=1000)
UNENDING = [bytes(100)] * 1000
BAD = {
    "announces too much": (
        Slow([b"x"], length=10**12),
        "announces 1,000,000,000,000 bytes; at most",
    ),
    "sends too much": (Slow(UNENDING), "sends more than the 1,000 bytes that are taken"),
    "a byte now and then": (Slow([b"x"] * 99, 0.02), "stalled: sent "),
    "stops in the middle": (Slow([b"x", b""], 2.0, 900), "stalled: sent nothing for 0.15 s"),
    "for ever": (Slow([bytes(9)] * 99, 0.02), "took longer than 0 s"),
    "closes in the middle": (Slow([b"x"], length=900), "broke off"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_server_cannot_keep_the_program_busy(bad, source, servers, monkeypatch):
    answer, message = BAD[bad]
    monkeypatch.setattr(download, "TIMEOUT", 0.15)
    monkeypatch.setattr(download, "RETRIES", 0)
    if bad == "for ever":
        monkeypatch.setattr(download, "SLOWEST", 1.0)
        monkeypatch.setattr(download, "MOST_SECONDS", 0.3)
    monkeypatch.setattr(Tiny, "mirrors", (servers[0].url,))
    servers[0].answer = lambda name, time: (200, answer)
    with pytest.raises(DataError) as raised:
        download.download(source, [ONE])
    assert f"{servers[0].url}  {message}" in str(raised.value)
    assert present(source) == []


def test_a_stalled_mirror_is_passed_over(source, servers, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.15)
    servers[0].answer = lambda name, time: (200, BAD["stops in the middle"][0])
    download.download(source, [ONE])
    assert present(source) == [f"{NAMES[1]}.gz"]
    assert len(servers[0].asked) == len(servers[1].asked) == 1


def test_no_mirror_gives_anything(source, servers):
    servers[0].answer = lambda name, time: (404, b"gone")
    servers[1].answer = lambda name, time: (200, b"another file")
    with pytest.raises(DataError) as raised:
        source.load()
    assert str(raised.value) == (
        "data=tiny: its files are not there and could not be downloaded.\n"
        "  files (packed or unpacked):\n"
        "    train-images-idx3-ubyte.gz\n"
        "    train-labels-idx1-ubyte.gz\n"
        "    t10k-images-idx3-ubyte.gz\n"
        "    t10k-labels-idx1-ubyte.gz\n"
        f"  folder:\n    {source.folder}\n"
        "  mirrors that were tried:\n"
        f"    {servers[0].url}  answered with HTTP 404\n"
        f"    {servers[1].url}  sent another file: its checksum is not the known one\n"
        "Put the files into the folder, or name theirs with data.dir=FOLDER, or the folder that"
        " holds tiny/ with the environment variable CNNEXP_DATA_DIR; or use data=digits, which"
        " needs no download."
    )
    assert present(source) == []


def test_no_network(source, monkeypatch):
    monkeypatch.setattr(Tiny, "mirrors", ("http://127.0.0.1:1/",))
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:1/  cannot be reached"):
        source.load()
    assert present(source) == []


def test_a_damaged_file_of_the_user_is_neither_replaced_nor_deleted(source, servers):
    source.folder.mkdir()
    (source.folder / NAMES[0]).write_bytes(b"mine")
    with pytest.raises(DataError, match="not the file it should be"):
        source.load()
    assert (source.folder / NAMES[0]).read_bytes() == b"mine"
    assert f"{NAMES[0]}.gz" not in servers[0].asked


def test_what_a_killed_download_left_is_gone_after_the_next(source):
    left = source.folder / ".partial" / "tmpabcdefgh"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    source.load()
    found = {path.name for path in source.folder.iterdir()}
    assert found - {".download.lock"} == set(PACKED)  # some versions of filelock delete theirs


def test_a_full_disk_says_what_to_do(source, monkeypatch):
    def full(path, target):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(download.Path, "replace", full)
    with pytest.raises(DataError, match=r"cannot write to .*tiny: No space left .* Make room on"):
        source.load()
    assert present(source) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match=r"data=tiny: cannot write to .*file/tiny"):
        Tiny(dir=str(tmp_path / "file" / "tiny")).load()


CHILD = """
import sys
from tests.data.made import Tiny
Tiny.mirrors = (sys.argv[1],)
print(Tiny(dir=sys.argv[2]).load().checksum)
"""


@pytest.mark.long
def test_two_processes_download_once(servers, tmp_path):
    servers[0].answer = lambda name, count: threading.Event().wait(0.2) or (200, PACKED[name])
    arguments = [sys.executable, "-c", CHILD, servers[0].url, str(tmp_path / "tiny")]
    children = [subprocess.Popen(arguments, stdout=subprocess.PIPE) for _ in range(2)]
    found = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert found[0] == found[1] != b""
    assert sorted(servers[0].asked) == sorted(PACKED)


def test_what_was_downloaded_is_what_was_meant(source):
    source.load()
    import gzip

    for name, content in UNPACKED.items():
        assert gzip.decompress((source.folder / f"{name}.gz").read_bytes()) == content
