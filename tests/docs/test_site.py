"""The site builds without a warning."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT

NEEDED = ("sphinx", "myst_nb", "numpydoc", "furo")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]


@pytest.mark.long
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q"]
    folders = ["-d", str(tmp_path / "trees"), str(ROOT / "docs"), str(tmp_path / "site")]
    done = subprocess.run(
        [*command, *folders],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "stride_groups.html").read_text(encoding="utf-8")
    assert "engine.naive" in page
    explore = (tmp_path / "site" / "explore.html").read_text(encoding="utf-8")
    assert explore.count("live.html") == 2  # embedded, and a link that opens it alone
    assert 100_000 < (tmp_path / "site" / "live.html").stat().st_size < 500_000
    network = tmp_path / "site" / "api" / "generated" / "cnnexp.Network.html"
    assert "learning_rate" in network.read_text(encoding="utf-8")
