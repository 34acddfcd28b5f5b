"""Where things are kept that this computer made once, and can make again."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "CNNEXP_CACHE_DIR"  # another folder than the user's cache


def user_cache(name: str) -> Path:
    """Return a folder in ``$CNNEXP_CACHE_DIR``, or in the user's cache; it need not be there."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser().absolute() / name
    from platformdirs import user_cache_path

    return user_cache_path("cnnexp") / name
