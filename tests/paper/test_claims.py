"""`pir-tf claims`: from directories to the table, its files and the README's copy."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pir_tf.config import flatten
from pir_tf.evaluation.channels import channel_means
from pir_tf.paper.claims.command import main
from pir_tf.paper.claims.judge import CLAIMS, COLUMNS
from pir_tf.paper.claims.table import BEGIN, END, between_marks
from pir_tf.paper.rows import COLUMNS as ROW_COLUMNS
from pir_tf.paper.rows import read_rows, row_of, write_rows
from pir_tf.presets import laptop

ROOT = Path(__file__).resolve().parents[2]


def write_run(path, objective, d):
    (path / "evaluation").mkdir(parents=True)
    config = {**flatten(laptop()), "interactions.objective": objective}
    about = {"config": config, "commit": "abcdef0123", "hardware": {"cores": 2, "machine": "x86_64"}}
    (path / "config.json").write_text(json.dumps(about))
    results = {
        "change": d / 20,
        "cohens_d": d,
        "cohens_d_interval": [d - 0.1, d + 0.1],
        "p_value": 1e-9,
        "significant": True,
    }
    (path / "evaluation" / "results.json").write_text(json.dumps(results))
    (path / "evaluation" / "done.json").write_text(json.dumps({"seconds": 7.0}))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A sweep of three single colours, with a filter of fc6 that couldn't be run, and its claims."""
    root = tmp_path_factory.mktemp("made")
    lines = []
    for name, d in (("red", 3.0), ("green", 2.0), ("blue", 4.0)):
        write_run(root / "sweep" / f"color-{name}", f"color:{name}", d)
    config = {**flatten(laptop()), "interactions.objective": "vgg:fc6:filters=7"}
    why = {
        "suite": "vgg-single",
        "name": "fc6",
        "status": "not run",
        "reason": "fc6 needs weights that 'file' lacks: use imagenet",
    }
    lines.append(row_of(config, {}, experiment="fc6") | why)
    write_rows(root / "sweep" / "results.csv", lines, (*why, *ROW_COLUMNS))
    (root / "README.md").write_text(f"# x\n\n{BEGIN}\n{END}\n\nend\n")
    assert main([str(root / "sweep"), "--to", str(root / "out"), "--readme", str(root / "README.md")]) == 0
    return root


def test_the_files_agree(made):
    found = json.loads((made / "out" / "claims.json").read_text())
    assert found["runs"] == ["sweep"] and found["experiments"] == 3
    assert found["claims"] == read_rows(made / "out" / "claims.csv", COLUMNS)
    assert len(found["claims"]) == len(CLAIMS) == sum(found["verdicts"].values())
    assert found["notes"] == ["fc6: not run (fc6 needs weights that 'file' lacks: use imagenet)."]
    page, readme = ((made / name).read_text() for name in ("out/claims.md", "README.md"))
    assert between_marks(page, "page")[1] == between_marks(readme, "readme")[1]
    assert readme.startswith("# x\n\n") and readme.endswith("\n\nend\n")


def test_the_rows_say_what_was_found_and_how_it_was_made(made):
    rows = {row["key"]: row for row in json.loads((made / "out" / "claims.json").read_text())["claims"]}
    colors = rows["raises single color"]
    assert (colors["verdict"], colors["n"], colors["seconds"], colors["commit"]) == ("reproduced", 3, 21.0, "abcdef0")
    assert colors["command"] == "pir-tf sweep colors --size laptop"
    fc6 = rows["poor vgg single fc6"]
    assert (fc6["verdict"], fc6["remark"]) == (
        "not run",
        "weights not available offline (fc6 needs weights that 'file' lacks)",
    )
    assert "`pir-tf claims sweep`" in (made / "out" / "claims.md").read_text()


def test_no_directory_of_this_machine_is_in_them(made):
    for path in (made / "out").iterdir():
        assert str(made) not in path.read_text() and str(Path.home()) not in path.read_text(), path.name


def test_making_them_again_changes_nothing(made, capsys):
    before = {path: path.read_bytes() for path in (*(made / "out").iterdir(), made / "README.md")}
    assert main([str(made / "sweep"), "--to", str(made / "out"), "--readme", str(made / "README.md")]) == 0
    assert {path: path.read_bytes() for path in (*(made / "out").iterdir(), made / "README.md")} == before
    assert "3 of 3 improved" in capsys.readouterr().out


def test_the_table_alone_is_printed_without_a_place(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([str(made / "sweep")]) == 0
    assert f"{len(CLAIMS)} claims: " in capsys.readouterr().out and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "No runs were given, expected run directories"),
        (["{here}/absent"], "absent is no directory"),
        (["{here}"], "holds no config.json"),
        (["{made}/sweep", "--readme", "{here}/absent.md"], "is no file, expected a README"),
        (["{made}/sweep", "--readme", "{made}/out/claims.csv"], "once each: put both where the table goes"),
        (["{made}/sweep", "--to", "{made}/README.md"], "can't be used"),
        (["{made}/sweep", "--tp", "x"], "see pir-tf claims --help"),
    ],
)
def test_mistakes_are_one_sentence(made, tmp_path, capsys, words, said):
    assert main([word.format(here=tmp_path, made=made) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ") and said in error and error.count("\n") == 1


BLOCKED = """
import sys
for name in ("tensorflow", "keras", "matplotlib"):
    sys.modules[name] = None  # importing it fails
from pir_tf.paper.claims.command import main
sys.exit(main(sys.argv[1:]))
"""


def test_no_tensorflow_is_needed(made):
    done = subprocess.run([sys.executable, "-c", BLOCKED, str(made / "sweep")], capture_output=True, text=True)
    assert done.returncode == 0 and "3 of 3 improved" in done.stdout, done.stderr


def test_a_run_s_results_have_the_channel_means_of_its_images(smoke):
    run, _ = smoke
    found = json.loads((run / "evaluation" / "results.json").read_text())["channel_means"]
    with np.load(run / "evaluation" / "samples.npz") as samples:
        for when in ("before", "after"):
            assert found[when] == channel_means(samples[when])


# Published


def published():
    return sorted((ROOT / "experiments").rglob("claims.md"))


def test_the_readme_s_table_is_the_published_one():
    assert len(published()) == 1, "one table is published, made by pir-tf claims with --to and --readme"
    page, readme = (path.read_text(encoding="utf-8") for path in (published()[0], ROOT / "README.md"))
    assert between_marks(readme, "README.md")[1] == between_marks(page, "claims.md")[1]


def test_the_published_files_agree_and_are_of_these_claims():
    folder = published()[0].parent
    rows = read_rows(folder / "claims.csv", COLUMNS)
    assert rows == json.loads((folder / "claims.json").read_text(encoding="utf-8"))["claims"]
    now = [(claim.key, claim.text, claim.paper, claim.reproduced, claim.partly) for claim in CLAIMS]
    assert [(row["key"], row["claim"], row["paper"], row["reproduced_if"], row["partly_if"]) for row in rows] == now
    for path in folder.glob("claims.*"):
        assert not re.search(r"(?<![\w.:/])/(?:home|work|root|tmp|Users)\b", path.read_text(encoding="utf-8")), (
            path.name
        )
