"""The commit that an installed package or a checkout has, found by content."""

import subprocess
from pathlib import Path

import pytest

import pir_tf
from pir_tf.runs import provenance

REPOSITORY = Path(pir_tf.__file__).parents[1]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git work tree with a committed package, which takes the place of the running one."""
    tree = tmp_path / "tree"
    package = tree / "pir_tf"
    (package / "sub").mkdir(parents=True)
    (package / "runs").mkdir()
    for name in ("runs/provenance.py", "sub/a.py"):
        (package / name).write_text(f"# {name}\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *words], cwd=tree, check=True)
    monkeypatch.setattr(provenance, "__file__", str(package / "runs" / "provenance.py"))
    monkeypatch.setattr(provenance, "_installed_from", lambda: None)
    return package


def test_the_commit_of_equal_files_is_known(checkout):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, check=True, capture_output=True, text=True)
    assert provenance.package_commit() == head.stdout.strip()
    assert len(provenance.package_commit()) == 40
    # Data beside the code and compiled files are no source.
    (checkout / "notes.txt").write_text("x")
    assert provenance.package_commit() is not None


@pytest.mark.parametrize("change", ["edited", "removed", "added"])
def test_the_commit_of_other_files_is_unknown(checkout, change):
    if change == "edited":
        (checkout / "sub" / "a.py").write_text("# other\n")
    elif change == "removed":
        (checkout / "sub" / "a.py").unlink()
    else:
        (checkout / "sub" / "b.py").write_text("# not committed\n")
    assert provenance.package_commit() is None


def test_without_git_the_commit_is_unknown(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.package_commit() is None
    assert provenance.provenance()["commit"] is None
