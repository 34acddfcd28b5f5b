"""What is loaded, and when: starting is quick because little is imported."""

import json
import subprocess
import sys

import pytest

from tests.commandline import succeed

SHOW = """
import json, sys
before = set(sys.modules)
{code}
print(json.dumps(sorted({{name.partition('.')[0] for name in set(sys.modules) - before}})))
"""

HEAVY = {
    "hydra",
    "matplotlib",
    "omegaconf",
    "pandas",
    "PIL",
    "pooch",
    "psutil",
    "requests",
    "rich",
    "scipy",
    "sklearn",
}


def loaded(code, folder):
    """The packages, but for Python's own, that a new process loads when it runs some code."""
    found = subprocess.run(
        [sys.executable, "-c", SHOW.format(code=code)],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    names = set(json.loads(found.stdout.splitlines()[-1])) - set(sys.stdlib_module_names)
    return {name for name in names if not name.startswith(("_", "cython"))}


@pytest.mark.parametrize("code", ["from cnnexp import Network", "import cnnexp.classic"])
def test_importing_loads_numpy_alone(code, tmp_path):
    assert loaded(code, tmp_path) == {"cnnexp", "numpy"}


def test_names_of_the_package_are_imported_when_they_are_used(tmp_path):
    assert loaded("import cnnexp; cnnexp.__version__", tmp_path) == {"cnnexp"}
    assert loaded("import cnnexp; cnnexp.nn, cnnexp.Conv2D", tmp_path) == {"cnnexp", "numpy"}


def test_importing_leaves_aside_what_is_slow_to_load(tmp_path):
    code = (
        "import sys, numpy\n"  # which loads some of them before its version 2
        "before |= set(sys.modules)\n"
        "import cnnexp; cnnexp.Network\n"
        "slow = {'concurrent.futures', 'difflib', 'numpy.random', 'pathlib'}\n"
        "new = set(sys.modules) - before  # coverage.py loads some of them first\n"
        "assert not slow & new, slow & new"
    )
    loaded(code, tmp_path)


def test_training_a_network_needs_little_more(tmp_path):
    code = (
        "import numpy as np\n"
        "from cnnexp import Dense, Network\n"
        "Network([Dense(3, activation='softmax')]).train(np.ones((4, 2)), np.zeros(4, int), 0.1)"
    )
    assert loaded(code, tmp_path) == {"cnnexp", "numpy", "threadpoolctl"}


def test_showing_a_config_does_not_load_what_trains_or_draws(tmp_path):
    code = "from cnnexp.app.main import main\nmain(['--cfg', 'job', 'optimizer=adam'])"
    assert loaded(code, tmp_path) & {*HEAVY, "numpy"} == {"hydra", "omegaconf"}


def test_showing_a_config_loads_neither_the_tables_nor_what_is_behind_them(tmp_path):
    code = (
        "from cnnexp.app.main import main\n"
        "assert main(['--cfg', 'job', 'optimizer=adam']) == 0\n"
        "slow = {'data', 'engine', 'nn', 'report', 'runs.record', 'train'}\n"
        "found = {f'cnnexp.{name}' for name in slow} & set(sys.modules)\n"
        "assert not found, found"
    )
    loaded(code, tmp_path)


def test_a_finished_sweep_that_is_asked_for_again_loads_what_its_checks_need(tmp_path):
    words = ["-m", "model=flat", "epochs=1", "data.limit=30", f"sweep.dir={tmp_path / 'sweep'}"]
    succeed(*words)
    code = f"from cnnexp.app.main import main\nassert main({words}) == 0"
    assert loaded(code, tmp_path) & HEAVY == {"hydra", "omegaconf"}


def test_the_help_page_loads_next_to_nothing(tmp_path):
    code = "from cnnexp.app.main import main\nmain(['--help'])"
    assert loaded(code, tmp_path) & HEAVY == set()


def test_a_run_does_not_load_what_draws_or_downloads(tmp_path):
    code = (
        "from cnnexp.app.main import main\n"
        "assert main(['model=flat', 'epochs=1', 'data.limit=30']) == 0"
    )
    assert not loaded(code, tmp_path) & {
        "matplotlib", "PIL", "requests", "pooch", "pandas", "sklearn", "scipy"
    }  # fmt: skip
