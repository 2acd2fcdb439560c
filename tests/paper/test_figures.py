"""`pir-tf figures`: from directories of runs to figures, models and a page, and again from the tables alone."""

import json
import subprocess
import sys

import numpy as np
import pytest

from pir_tf.config import flatten
from pir_tf.paper.figures.command import main
from pir_tf.paper.figures.list import ORDER
from pir_tf.paper.rows import read_rows
from pir_tf.presets import laptop

FILES = {f"{name}.{kind}" for name in ORDER for kind in ("csv", "png")} | {
    *("figure-3.npz", "experiments.csv", "collected.json", "models.json", "models.md", "README.md")
}


def write_run(path, objective, d):
    (path / "evaluation").mkdir(parents=True)
    config = {**flatten(laptop()), "interactions.objective": objective}
    (path / "config.json").write_text(json.dumps({"config": config}))
    side = {"before_mean": 0.5, "before_sd": 0.05, "after_sd": 0.05}
    results = {"pir_before_mean": 0.5, "pir_after_mean": 0.5 + d / 20, "change": d / 20, "cohens_d": d, "p_value": 1e-9}
    results |= {"cohens_d_interval": [d - 0.1, d + 0.1], "estimated_change": d / 30, "pir_before_sd": 0.05 + d / 100}
    results |= {"percent_zero_before": 5.0 - d, "significant": True, "true": side, "estimated": side}
    (path / "evaluation" / "results.json").write_text(json.dumps(results))
    images = np.random.default_rng(0).integers(0, 256, (15, 64, 64, 3), np.uint8)
    np.savez(path / "evaluation" / "samples.npz", before=images, after=255 - images)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A sweep of three runs and one that isn't finished, with its figures."""
    root = tmp_path_factory.mktemp("made")
    for i, name in enumerate(("blue", "red", "red-blue")):
        write_run(root / "sweep" / f"color-{name}", f"color:{name}", 1.0 + 0.5 * i**2)
    (root / "sweep" / "open").mkdir()
    (root / "sweep" / "open" / "config.json").write_text("{}")
    assert main([str(root / "sweep"), "--to", str(root / "out"), "--seed", "3"]) == 0
    return root / "out"


def test_everything_is_written_and_nothing_else(made):
    assert {path.name for path in made.iterdir()} == FILES
    assert [row["experiment"] for row in read_rows(made / "experiments.csv")] == [
        "color-blue",
        "color-red",
        "color-red-blue",
    ]
    models = json.loads((made / "models.json").read_text())
    assert models["change_on_estimated"]["beta"] == pytest.approx(1.5)
    assert len((made / "figure-3.csv").read_text().splitlines()) == 1 + 4 * 12


def test_the_page_holds_no_directory_of_this_machine(made):
    text = (made / "README.md").read_text()
    assert "`pir-tf figures sweep --seed 3`" in text and "- open has no results yet." in text
    for path in made.iterdir():
        if path.suffix in (".md", ".csv", ".json"):
            assert str(made.parent) not in path.read_text(), path.name


BLOCKED = """
import sys
for name in ("tensorflow", "keras", "tensorflow_hub", "tensorflow_datasets"):
    sys.modules[name] = None  # importing it fails
from pir_tf.paper.figures.command import main
sys.exit(main(["--redraw", sys.argv[1]]))
"""


@pytest.mark.slow
def test_figures_are_drawn_again_alike_without_tensorflow_and_without_the_runs(made, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in made.iterdir():
        if path.suffix != ".png" and path.name not in ("README.md", "models.json", "models.md"):
            (copy / path.name).write_bytes(path.read_bytes())
    done = subprocess.run([sys.executable, "-c", BLOCKED, str(copy)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == {
        path.name: path.read_bytes() for path in made.iterdir()
    }


def test_making_them_again_changes_nothing(made):
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    assert main([str(made.parent / "sweep"), "--to", str(made), "--seed", "3"]) == 0
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


def test_one_run_alone(made, tmp_path, capsys):
    assert main([str(made.parent / "sweep" / "color-red"), "--to", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert "9 figures" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "models.json").read_text())["change_on_estimated"]["beta"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "No runs were given, expected run directories"),
        (["{here}/absent"], "absent is no directory, expected a run"),
        (["{here}"], "holds no config.json"),
        (["--redraw", "{here}"], "has no experiments.csv"),
        (["{here}", "--redraw", "{here}"], "--redraw was given with RUNS"),
        (["{here}", "--seed", "-1"], "--seed is -1, expected 0 or more"),
        (["{here}", "--seed", "x"], "see pir-tf figures --help"),
        (["{here}", "--tp", "x"], "see pir-tf figures --help"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, capsys, words, said):
    assert main([word.format(here=tmp_path) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ") and said in error and error.count("\n") == 1


def test_a_place_that_can_t_be_written_and_a_damaged_table_are_one_sentence(made, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([str(made.parent / "sweep"), "--to", str(tmp_path / "file")]) == 2
    assert "file can't be used" in capsys.readouterr().err
    (tmp_path / "experiments.csv").write_text("experiment\nx\n")
    assert main(["--redraw", str(tmp_path)]) == 2
    assert "has no column objective" in capsys.readouterr().err


def test_help_is_answered_at_once():
    code = "import sys; from pir_tf.paper.figures.command import main; main(['--help'])"
    watched = "import sys, atexit; atexit.register(lambda: print(sorted({'numpy','matplotlib','pandas'} & set(sys.modules))));"
    done = subprocess.run([sys.executable, "-c", watched + code], capture_output=True, text=True)
    assert done.returncode == 0 and "published folders" in done.stdout and done.stdout.strip().endswith("[]")
