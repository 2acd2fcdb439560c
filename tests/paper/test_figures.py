"""`pir-tf figures`: from directories of runs to figures, models and a page, and again from the tables alone."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from many_rows import experiment, whole, write_open, write_run
from synthetic_run import pictures

from pir_tf.paper.figures.command import main
from pir_tf.paper.figures.page import FIGURES, ORDER, redraw, write_tables
from pir_tf.paper.rows import read_rows, table

FILES = {f"{name}.{kind}" for name in ORDER for kind in ("csv", "png")} | {
    *("figure-3.npz", "experiments.csv", "collected.json", "models.json", "models.md", "README.md")
}


def write_colors(path, objective, d):
    known = {"estimated": d / 30, "sd": 0.05, "p_value": 1e-9, "initial_sd": 0.05 + d / 100}
    run = write_run(path, d, objective=objective, measured=known)
    images = np.random.default_rng(0).integers(0, 256, (15, 64, 64, 3), np.uint8)
    np.savez(run / "evaluation" / "samples.npz", before=images, after=255 - images)


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A sweep of three runs and one that isn't finished, with its figures."""
    root = tmp_path_factory.mktemp("made")
    for i, name in enumerate(("blue", "red", "red-blue")):
        write_colors(root / "sweep" / f"color-{name}", f"color:{name}", 1.0 + 0.5 * i**2)
    write_open(root / "sweep" / "open")
    assert main([str(root / "sweep"), "--to", str(root / "out"), "--seed", "3"]) == 0
    return root / "out"


def test_everything_is_written_and_nothing_else(made):
    assert set(contents(made)) == FILES
    assert list(read_rows(made / "experiments.csv")["experiment"]) == ["color-blue", "color-red", "color-red-blue"]
    models = json.loads((made / "models.json").read_text())
    assert models["change_on_estimated"]["beta"] == pytest.approx(1.5)
    assert len((made / "figure-3.csv").read_text().splitlines()) == 1 + 4 * 12
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
    for path in made.iterdir():
        if path.suffix != ".png" and path.name not in ("README.md", "models.json", "models.md"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    done = subprocess.run([sys.executable, "-c", BLOCKED, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == contents(made)


def test_pictures_that_were_published_stay_until_there_are_new_ones(made, tmp_path):
    archives = {"color-blue": made.parent / "sweep" / "color-blue" / "evaluation" / "samples.npz"}
    drawn = {}
    for step, (own, keep) in enumerate([(archives, True), ({}, True), ({}, False)]):
        write_tables(tmp_path, table([experiment()]), own, seed=0, keep_samples=keep)
        drawn[step] = contents(tmp_path)
    assert drawn[0] == drawn[1] and drawn[0]["figure-3.csv"].count(b"\n") == 1 + 2 * 12
    assert drawn[2]["figure-3.csv"].count(b"\n") == 1


@pytest.mark.slow
def test_one_run_alone(made, tmp_path, capsys):
    assert main([str(made.parent / "sweep" / "color-red"), "--to", str(tmp_path / "out")]) == 0
    assert "9 figures" in capsys.readouterr().out and set(contents(tmp_path / "out")) == FILES


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


def test_a_place_that_isn_t_ours_and_a_damaged_table_are_one_sentence(made, tmp_path, capsys):
    sweep = str(made.parent / "sweep")
    (tmp_path / "file").write_text("")
    assert main([sweep, "--to", str(tmp_path / "file")]) == 2
    assert "file can't be used" in capsys.readouterr().err
    (tmp_path / "README.md").write_text("My own words.")
    assert main([sweep, "--to", str(tmp_path)]) == 2
    assert "has a README.md that pir-tf figures did not write" in capsys.readouterr().err
    assert contents(tmp_path) == {"file": b"", "README.md": b"My own words."}
    (tmp_path / "experiments.csv").write_text("experiment\nx\n")
    assert main(["--redraw", str(tmp_path)]) == 2
    assert "has no column objective" in capsys.readouterr().err


def test_help_is_answered_at_once():
    code = "import sys; from pir_tf.paper.figures.command import main; main(['--help'])"
    watched = "import sys, atexit; atexit.register(lambda: print(sorted({'numpy','matplotlib','pandas'} & set(sys.modules))));"
    done = subprocess.run([sys.executable, "-c", watched + code], capture_output=True, text=True)
    assert done.returncode == 0 and "published folders" in done.stdout and done.stdout.strip().endswith("[]")


# The tables, and the page


@pytest.mark.slow
def test_every_figure_comes_back_from_its_table(tmp_path):
    np.savez(tmp_path / "samples.npz", before=pictures(20, 1)[0], after=pictures(20, 2)[0])
    known = {"first_round": {"cohens_d_from_start": 1.0}, "cohens_d_from_start": 1.4}
    rows = [*whole(), experiment(name="s", estimator__output="scalar"), experiment(name="w", tuning__pir_weight=3.0)]
    rows = table([*rows, experiment("vgg:pool2:filters=1", first_round="x", measured=known)])
    write_tables(tmp_path, rows, {"color-blue": tmp_path / "samples.npz"}, seed=0)
    for figure in FIGURES:
        own = table(figure.table(rows), figure.columns).reset_index(drop=True)
        assert len(own)
        pd.testing.assert_frame_equal(read_rows(tmp_path / f"{figure.name}.csv", figure.columns), own)
    assert redraw(tmp_path) == len(ORDER)
    first = contents(tmp_path)
    assert {f"{name}.png" for name in ORDER} <= set(first)
    redraw(tmp_path)
    assert contents(tmp_path) == first


def page(tmp_path, rows, notes=()):
    """The page over some experiments, drawn with figure 2 alone."""
    write_tables(tmp_path, table(rows), {}, seed=0)
    for name in ORDER[1:]:
        (tmp_path / f"{name}.csv").unlink()
    (tmp_path / "collected.json").write_text(json.dumps({"runs": ["runs"], "notes": notes}))
    assert redraw(tmp_path) == 1
    return (tmp_path / "README.md").read_text()


def test_the_page_counts_tasks_and_names_what_is_missing(tmp_path):
    text = page(tmp_path, whole(), notes=["x has no results yet."])
    assert text.startswith("# Figures and models over 62 experiments\n") and "`pir-tf figures runs`" in text
    assert "| Colours: single | 3 | 3 | 0 | 0 | +3.01 |" in text
    assert "| Colours: three | 3 | 0 | 0 | 3 | +0.13 |" in text
    assert "No runs of VGG16, single filters (fc6, fc7, fc8); VGG16, 20 filters at once (fc6, fc7, fc8)." in text
    assert "- x has no results yet." in text and "Preset: laptop." in text
    assert "(figure-2.png)" in text and "[figure-2.csv](figure-2.csv)" in text
    assert "nan" not in text.lower().split() and "None" not in text
    # A changed table changes the figure.
    lines = (tmp_path / "figure-2.csv").read_text().splitlines()
    (tmp_path / "figure-2.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert redraw(tmp_path) == 1 and "(n = 61)" in (tmp_path / "README.md").read_text()


def test_the_page_says_which_experiments_are_not_in_the_figures(tmp_path):
    hot = {"estimator__temperature": 1.0}
    rows = [experiment(), experiment(name="w", tuning__pir_weight=30.0), experiment(name="again", preset="smoke")]
    rows += [experiment(name="t", **hot), experiment(name="t2", seed=2, **hot), experiment("vgg:pool1:k=5")]
    text = page(tmp_path, rows)
    for said in (
        "1 experiment with another pir_weight than the paper's",
        "2 experiments with another temperature than the paper's",
        "1 experiment with objectives that the paper has not",
        "1 experiment with an objective and seed that another run stands for",
        "of several presets, so not all alike: laptop 5, smoke 1.",
    ):
        assert said in text
    alone = page(tmp_path, [experiment()])
    assert "over 1 experiment\n" in alone and "Not in these figures" not in alone
