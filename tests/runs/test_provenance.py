"""The commit that an installed package or a checkout has, found by content."""

import subprocess

import pytest

from pir_tf.runs import provenance


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


def test_the_commit_of_equal_files_is_known_where_there_is_git(checkout, monkeypatch):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, check=True, capture_output=True, text=True)
    (checkout / "notes.txt").write_text("x")  # data beside the code is no source
    assert len(head.stdout.strip()) == 40 and provenance.package_commit() == head.stdout.strip()
    monkeypatch.setenv("PATH", "")
    assert provenance.package_commit() is None and provenance.provenance()["commit"] is None


@pytest.mark.parametrize("change", ["edited", "removed", "added"])
def test_the_commit_of_other_files_is_unknown(checkout, change):
    path = checkout / "sub" / ("b.py" if change == "added" else "a.py")
    path.unlink() if change == "removed" else path.write_text("# not committed\n")
    assert provenance.package_commit() is None
