"""What a server answers to a download: status, headers and body, as bytes on the line."""

from __future__ import annotations

import gzip
import io
import time
from pathlib import Path
from typing import Any

import urllib3.connection
import urllib3.connectionpool

from cnnexp.data import download
from cnnexp.data.files import File
from tests.data.made import digest
from tests.fuzz.reader import Reader, one_in

BODY = gzip.compress(b"what was meant", mtime=0)
FILE = File("x", digest(BODY), most=100_000)
HEADS = (
    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: {}x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: {0}, {0}\r\n\r\n",
    "HTTP/1.0 200\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Encoding: bogus, deflate\r\n\r\n",
    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/3\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\n\r\n",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 500 Oh\r\nRetry-After: 99999999\r\n\r\n",
    "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 301 Moved\r\nLocation: http://[::1\r\n\r\n",
    "HTTP/1.1 301 Moved\r\nLocation: file:///etc/passwd\r\n\r\n",
    "HTTP/1.1 301 Moved\r\nLocation: http://\xff:99999999/\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
    "HTTP/1.1 200 OK\r\nSet-Cookie: a=b; expires=x; domain=.\r\nContent-Length: {}\r\n\r\n",
    "{}\r\n\r\n",
)
CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Line:
    """A connection on which one answer lies ready, as a socket has it."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """Return the answer as a file."""
        return io.BufferedReader(io.BytesIO(self.content))  # type: ignore[arg-type]

    def sendall(self, _: bytes) -> None:
        """Send a request to nobody."""

    def setsockopt(self, *_: Any) -> None:
        """Set nothing."""

    def shutdown(self, _: int) -> None:
        """End the connection."""

    settimeout = setsockopt

    def close(self) -> None:
        """Close nothing."""


class Mirror:
    """A source with one file."""

    name, files, mirrors = "fuzzed", [FILE], ["http://fuzzed.invalid/"]

    def __init__(self, folder: Path) -> None:
        self.folder = folder


class Download(Reader):
    """An answer to a download, whole, through all that takes part in reading it."""

    name, group, pure, names_files = "download", "settings", False, False
    words = (b"\r\n", b":", b"0", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"-1",
             b"HTTP/1.1", b"200", b"302", b"Location: ", b"//", b"https://", b"\xff", b"%", b";",
             b"9" * 5000, b"A: b\r\n" * 101, b"Content-Encoding: gzip\r\n")  # fmt: skip

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.answer = b""
        time.sleep = lambda _: None  # between tries
        for kind in (urllib3.connection.HTTPConnection, urllib3.connection.HTTPSConnection):
            kind._new_conn = lambda _: Line(self.answer)  # type: ignore[method-assign]
        urllib3.connectionpool.is_connection_dropped = lambda _: True  # it was used once
        urllib3.connection._ssl_wrap_socket_and_match_hostname = _no_tls  # type: ignore[assignment]

    def made_seeds(self) -> list[bytes]:
        heads = [head.format(len(BODY)).encode("latin-1") for head in HEADS]
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
        bad = [CHUNKED.encode() + part for part in (b"zz\r\n", b"-1\r\nab", b"fffffffffffff\r\na")]
        return [*(head + BODY for head in heads), CHUNKED.encode() + chunks, *bad, b""]

    def read(self, content: bytes) -> None:
        self.answer = content
        (self.folder / FILE.packed_name).unlink(missing_ok=True)
        download.RETRIES = 1 if one_in(10, content) else 0
        download.download(Mirror(self.folder), [FILE])
        assert (self.folder / FILE.packed_name).read_bytes() == BODY


def _no_tls(*_: Any, **__: Any) -> Any:
    import ssl

    raise ssl.SSLError("no TLS here")
