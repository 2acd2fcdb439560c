"""The commit that an installed package or a checkout has, found by content."""

import base64
import hashlib
import importlib.metadata
import json
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
    monkeypatch.setattr(provenance, "_installation", lambda: None)
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


@pytest.mark.parametrize("change", ["none", "edited", "removed", "added"])
def test_a_package_that_pip_installed_from_a_repository_has_the_commit_that_pip_noted(tmp_path, monkeypatch, change):
    package, notes = tmp_path / "pir_tf", tmp_path / "pir_tf-1.dist-info"
    for folder in (package / "runs", notes):
        folder.mkdir(parents=True)
    record = ["pir_tf-1.dist-info/METADATA,,"]
    for name in ("pir_tf/runs/provenance.py", "pir_tf/a.py"):
        (tmp_path / name).write_text(f"# {name}\n")
        digest = hashlib.sha256((tmp_path / name).read_bytes()).digest()
        record.append(f"{name},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},9")
    (notes / "RECORD").write_text("\n".join(record))
    (notes / "METADATA").write_text("Name: pir_tf\nVersion: 1\n")
    origin = {"url": "https://example.org/pir_tf", "vcs_info": {"vcs": "git", "commit_id": "c" * 40}}
    (notes / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.setattr(provenance, "__file__", str(package / "runs" / "provenance.py"))
    monkeypatch.setattr(provenance, "_installation", lambda: importlib.metadata.Distribution.at(notes))
    changed = package / ("b.py" if change == "added" else "a.py")
    if change != "none":
        changed.unlink() if change == "removed" else changed.write_text("# not committed\n")
    assert provenance.package_commit() == ("c" * 40 if change == "none" else None)
