"""Whether a run is the user's own: a signature over the plugins that it imported.

A run names the modules that it imported in ``plugins``. To import them again just because a folder
says so would let whoever made the folder run code. So a new run records the source files of its
plugins with their checksums, and signs that list (HMAC-SHA256) with a key that lies in the user's
configuration folder and nowhere else. A run with that signature is the user's own, and its plugins
may be imported, from the recorded files, as long as these have not changed.
"""

from __future__ import annotations

import hmac
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnexp.runs.sources import Signed, Source, checksum_of, sources_of

KEY_FILE = "signing.key"
KEY_BYTES = 32
VARIABLE = "CNNEXP_CONFIG_DIR"  # whoever sets variables can set PYTHONPATH as well: no new danger


def config_folder() -> Path:
    """Return the folder of the user's configuration of this program."""
    import platformdirs

    chosen = os.environ.get(VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_config_path("cnnexp")


def sign(modules: Sequence[str]) -> Signed | None:
    """Return the sources of imported modules with a signature of this user.

    Returns
    -------
    dict or None
        None without modules, where one has no source file, or where no key can be kept.
    """
    if not modules:
        return None
    key, sources = signing_key(make=True), sources_of(modules)
    if key is None or sources is None:
        return None
    return {"modules": list(sources), "signature": _signature(key, modules, list(sources))}


def why_foreign(modules: Sequence[str], signed: Signed | None, run: Path) -> str:
    """Say why plugins of a run may not be imported; an empty text if they may.

    Parameters
    ----------
    modules : sequence of str
        What the run names.
    signed : dict, optional
        What `sign` returned when the run was made.
    run : Path
        The run folder.
    """
    key = signing_key() if signed else None
    if signed is None or key is None:
        return "nothing shows that the run is yours"
    if not _is_same(signed["signature"], _signature(key, modules, signed["modules"])):
        return "the run was not signed with your key"
    for source in signed["modules"]:
        path = Path(source["path"])
        if path.resolve().is_relative_to(run.resolve()):
            return f"{path} lies in the run folder"
        if checksum_of(path) != source["checksum"]:
            return f"{path} is not as it was when the run was made"
    return ""


def sign_words(words: Sequence[str]) -> str | None:
    """Return this user's signature of what was typed; None where no key can be kept."""
    key = signing_key(make=True)
    return None if key is None else _hmac(key, ["cnnexp words 1", *words])


def words_of(trackers: Sequence[Any]) -> list[str]:
    """Return what is signed of the trackers of a run."""
    return ["trackers", json.dumps(list(trackers), sort_keys=True, default=str)]


def sign_trackers(trackers: Sequence[Any]) -> str | None:
    """Return this user's signature of the trackers of a run; None without any."""
    return sign_words(words_of(trackers)) if trackers else None


def is_signed(words: Sequence[str], signature: object) -> bool:
    """Say whether a signature of words is this user's."""
    key = signing_key()
    if key is None or not isinstance(signature, str):
        return False
    return _is_same(signature, _hmac(key, ["cnnexp words 1", *words]))


def _is_same(found: str, wanted: str) -> bool:
    """Compare signatures; what a stranger wrote need not be one."""
    return found.isascii() and hmac.compare_digest(found.encode(), wanted.encode())


def signing_key(make: bool = False) -> bytes | None:
    """Return the user's key, or None if there is none that only the user can read.

    Parameters
    ----------
    make : bool
        Make one if there is none.
    """
    path = config_folder() / KEY_FILE
    try:
        if make and not path.exists():
            _make_key(path)
        found = path.stat(follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or _is_shared(found):
            return None
        key = path.read_bytes()
    except OSError:  # a home that cannot be written, for example
        return None
    return key if len(key) == KEY_BYTES else None


def _make_key(path: Path) -> None:
    """Write a new key that only the user can read, unless another process does at this moment."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            return
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(os.urandom(KEY_BYTES))
        temporary.replace(path)


def _is_shared(found: os.stat_result) -> bool:
    """Say whether others than the user can read or replace a file."""
    if os.name != "posix":
        return False
    return found.st_uid != os.getuid() or bool(found.st_mode & 0o077)


def _signature(key: bytes, modules: Sequence[str], sources: list[Source]) -> str:
    return _hmac(key, ["cnnexp plugins 1", list(modules), sources])


def _hmac(key: bytes, content: Any) -> str:
    text = json.dumps(content, sort_keys=True)
    return f"hmac-sha256:{hmac.new(key, text.encode(), 'sha256').hexdigest()}"
