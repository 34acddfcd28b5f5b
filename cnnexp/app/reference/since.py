"""Since which version there is a setting.

Written down in ``releases.json`` is what each released version had, by the sections of
`cnnexp.app.reference.settings`. What is not there came after the last of them: ``python -m
tests.docs.reference --release 0.2.0`` enters it.
"""

from __future__ import annotations

import json
from pathlib import Path

UNRELEASED = "unreleased"
FILE = Path(__file__).with_name("releases.json")
RELEASES: dict[str, dict[str, str]] = json.loads(FILE.read_text(encoding="utf-8"))


def since(section: str, option: str = "") -> str:
    """Return the version that was the first to have a section, or one of its options.

    Examples
    --------
    >>> since("optimizer=sgd", "nesterov"), since("optimizer=sgd", "clip_norm")
    ('0.1.0', 'unreleased')
    """
    for version, had in RELEASES.items():
        if section in had and (not option or option in had[section].split()):
            return version
    return UNRELEASED
