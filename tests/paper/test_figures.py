"""`pir-tf figures`: from directories of runs to figures, models and a page, and again from the tables alone."""

import json
import subprocess
import sys

import drawing
import numpy as np
import pytest
from many_rows import experiment, whole, write_run

from pir_tf.paper.claims.list import CLAIMS
from pir_tf.paper.figures.command import main
from pir_tf.paper.figures.page import ORDER, redraw, write_tables
from pir_tf.paper.rows import read_rows, table

pytestmark = pytest.mark.slow

FILES = {f"{name}.{kind}" for name in ORDER for kind in ("csv", "png")} | {
    *("figure-3.npz", "experiments.csv", "collected.json", "models.json", "models.md", "README.md")
}


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A sweep of three runs and one that isn't finished, with its figures."""
    root = tmp_path_factory.mktemp("made")
    images = np.random.default_rng(0).integers(0, 256, (15, 64, 64, 3), np.uint8)
    for i, name in enumerate(("blue", "red", "red-blue")):
        d = 1.0 + 0.5 * i**2
        known = {"estimated": d / 30, "initial_sd": 0.05 + d / 100}
        run = write_run(root / "sweep" / f"color-{name}", d, objective=f"color:{name}", measured=known)
        np.savez(run / "evaluation" / "samples.npz", before=images, after=255 - images)
    write_run(root / "sweep" / "open", None)
    with pytest.MonkeyPatch.context() as patch:
        drawing.coarsely(patch.setattr)
        code = main([str(root / "sweep"), "--to", str(root / "out"), "--seed", "3"])
    assert code == 0
    return root / "out"


def test_everything_is_written_and_nothing_else(made):
    assert set(contents(made)) == FILES
    assert list(read_rows(made / "experiments.csv")["experiment"]) == ["color-blue", "color-red", "color-red-blue"]
    models = json.loads((made / "models.json").read_text())
    assert models["change_on_estimated"]["beta"] == pytest.approx(1.5)
    assert len((made / "figure-3.csv").read_text().splitlines()) == 1 + 4 * 12
    text = (made / "README.md").read_text()
    assert "`pir-tf figures sweep --seed 3`" in text and "- open has no results yet." in text
    assert not [name for name, data in contents(made).items() if str(made.parent).encode() in data]


BLOCKED = """import sys
sys.modules |= dict.fromkeys(("tensorflow", "keras", "tensorflow_hub", "tensorflow_datasets"))  # importing them fails
sys.path.append(sys.argv[3])
import drawing
drawing.coarsely(setattr)  # as the first time
from pir_tf.paper.claims.command import main as claims
from pir_tf.paper.figures.command import main as figures
sys.exit(claims([sys.argv[2]]) or figures(["--redraw", sys.argv[1]]))
"""


@pytest.mark.slow
def test_claims_are_printed_and_figures_drawn_again_alike_without_tensorflow_and_without_the_runs(made, tmp_path):
    for path in made.iterdir():
        if path.suffix != ".png" and path.name not in ("README.md", "models.json", "models.md"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    line = [
        sys.executable,
        "-c",
        BLOCKED,
        str(tmp_path),
        str(made.parent / "sweep"),
        drawing.__file__.rpartition("/")[0],
    ]
    before = sorted(made.parent.rglob("*"))
    done = subprocess.run(line, capture_output=True, text=True, cwd=made.parent)
    assert sorted(made.parent.rglob("*")) == before
    assert done.returncode == 0 and "9 figures" in done.stdout and not done.stderr, done.stderr
    assert f"{len(CLAIMS)} claims: " in done.stdout
    assert contents(tmp_path) == contents(made)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "No runs were given, expected run directories"),
        (["{here}"], "holds no config.json"),
        (["--redraw", "{here}"], "has no experiments.csv"),
        (["--redraw", "{here}/old"], "has no column objective"),
        (["{here}", "--redraw", "{here}"], "--redraw was given with RUNS"),
        (["{here}", "--seed", "-1"], "--seed is -1, expected 0 or more"),
        (["{here}", "--tp", "x"], "see pir-tf figures --help"),
        (["{made}/../sweep", "--to", "{here}/README.md"], "README.md can't be used"),
        (["{made}/../sweep", "--to", "{here}"], "has a README.md that pir-tf figures did not write"),
    ],
)
def test_mistakes_are_one_sentence_and_change_nothing(made, tmp_path, capsys, words, said):
    (tmp_path / "README.md").write_text("My own words.")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "experiments.csv").write_text("experiment\nx\n")
    assert main([word.format(here=tmp_path, made=made) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ") and said in error and error.count("\n") == 1
    assert (tmp_path / "README.md").read_text() == "My own words." and len(list(tmp_path.rglob("*"))) == 3


@pytest.fixture
def coarse(monkeypatch):
    drawing.coarsely(monkeypatch.setattr)


def page(tmp_path, rows, notes=()):
    """The page over some experiments, drawn with figure 2 alone."""
    write_tables(tmp_path, table(rows), {}, seed=0)
    for name in ORDER[1:]:
        (tmp_path / f"{name}.csv").unlink()
    (tmp_path / "collected.json").write_text(json.dumps({"runs": ["runs"], "notes": notes}))
    assert redraw(tmp_path) == 1
    return (tmp_path / "README.md").read_text()


def test_the_page_counts_tasks_and_names_what_is_missing(tmp_path, coarse):
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


def test_the_page_says_which_experiments_are_not_in_the_figures(tmp_path, coarse):
    hot = {"estimator__temperature": 1.0}
    rows = [experiment(), experiment(name="w", tuning__pir_weight=30.0), experiment(name="again", preset="smoke")]
    rows += [experiment(name="t", **hot), experiment(name="t2", seed=2, **hot), experiment("vgg:pool1:k=5")]
    text = page(tmp_path, rows)
    assert "of several presets, so not all alike: laptop 5, smoke 1." in text
    assert [line.partition(":")[0] for line in text.splitlines() if line.startswith("- ") and "experiment" in line] == [
        "- 1 experiment with another pir_weight than the paper's",
        "- 1 experiment with an objective that another run stands for",
        "- 2 experiments with another temperature than the paper's",
        "- 1 experiment with objectives that the paper has not",
    ]
    alone = page(tmp_path, [experiment()])
    assert "over 1 experiment\n" in alone and "Not in these figures" not in alone
