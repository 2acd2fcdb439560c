"""One smoke run of the command in a process of its own, shared by the end-to-end tests."""

import pytest
from commands import public_command


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """(run directory, finished process) of a smoke run."""
    root = tmp_path_factory.mktemp("smoke")
    done = public_command("smoke", "--run-dir", root / "run", cwd=root)
    assert done.returncode == 0, done.stderr
    return root / "run", done
