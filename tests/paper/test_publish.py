"""Published runs, sweeps and the bundled weights' card: how they were made, what failed, and no machine's paths."""

import json
import shutil
from pathlib import Path

import drawing
import pandas as pd
import pytest
from PIL import Image
from synthetic_run import results, write_run

from pir_tf.config import flatten
from pir_tf.paper import publish
from pir_tf.paper.rows import row_of, write_rows
from pir_tf.presets import laptop, smoke

README = Path(__file__).parents[2] / "experiments" / "README.md"


def finished(path, seed=0):
    """A finished run, whose published command is `python -m ... smoke`."""
    write_run(path)
    about = json.loads((path / "config.json").read_text()) | {"command": "python -m pir_tf.experiments.run smoke"}
    about["config"] = {**flatten(smoke()), "seed": seed}
    (path / "config.json").write_text(json.dumps(about))
    (path / "data.json").write_text("{}")
    (path / "report").mkdir()
    facts = {"finished": "2024-03-01T10:09:00+0000", "seconds": 3.0, "peak_memory_mb": 1400}
    (path / "report" / "done.json").write_text(json.dumps(facts))
    Image.new("RGB", (4, 4)).save(path / "report" / "pir-true.png")
    return path


def test_a_run_is_published_with_how_it_was_made(tmp_path):
    run, folder = finished(tmp_path / "run"), tmp_path / "published"
    assert publish.main(["run", str(run), str(folder)]) == 0
    assert json.loads((folder / "published.json").read_text()) == {
        "command": "python -m pir_tf.experiments.run smoke",
        "commit": "unknown",
        "hardware": "2 CPU cores (x86_64), no GPU used",
        "seconds": 5 * 73.4 + 3,
        "finished": "2024-03-01T10:09:00+0000",
    }
    text = (folder / "README.md").read_text()
    assert text.startswith("# color:blue, preset smoke\n") and "`python -m pir_tf.experiments.run smoke`" in text
    assert "| hardware | 2 CPU cores (x86_64), no GPU used |" in text
    assert "| time | 370 s in its stages: gan 73 s, " in text and "report 3 s |" in text
    assert all(name in text for name in ("commit", "seed", "peak memory", "versions", "Cohen's d", "pir-true.png"))
    assert (folder / "results.json").read_text() == (run / "evaluation" / "results.json").read_text()
    assert Image.open(folder / "pairs.png").size == (8 * 128 + 9 * 2, 4 * 128 + 5 * 2)
    # And the card of bundled weights.
    (run / "gan" / "history.csv").write_text("step,swd\n2,300.5\n4,\n6,200.25\n8,250\n")
    text = publish.card(run, 12_345_678)
    assert "12.3 MB" in text and "kept: step 6" in text
    assert "the smallest of 3 measures, one every 2 steps: 200.2 (the first: 300.5)" in text
    assert "| hardware | 2 CPU cores (x86_64), no GPU used |" in text


def test_a_real_run_has_all_that_is_published_and_no_path(smoke, tmp_path):
    run, _ = smoke
    publish.publish(run, tmp_path / "published")
    names = {path.name for path in (tmp_path / "published").iterdir()}
    assert names >= {*publish.PICTURES, *(Path(name).name for name in publish.COPIED), "published.json", "README.md"}
    texts = [path.read_text() for path in (tmp_path / "published").iterdir() if path.suffix != ".png"]
    assert not any(str(run.parent) in text for text in texts)


def test_pages_say_which_gpus_and_versions_were_there_and_whose_gan_it_is(tmp_path):
    about = {"config": {"seed": 0}, "command": "x", "commit": "a1", "started": "now"}
    about |= {"hardware": {"cores": 2, "machine": "x86_64", "gpus": ["NVIDIA H100"] * 8}}
    about |= {"versions": {"keras": "3.8", "scipy": "1.2"}}
    about["continued"] = [{"commit": "b2", "versions": {"keras": "3.9", "scipy": "1.2"}}]
    for stage, more in (("gan", {"trained_in": "gan/0123"}), ("tuning", {})):
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "done.json").write_text(json.dumps({"seconds": 1.0, "peak_memory_mb": 10, **more}))
    (tmp_path / "config.json").write_text(json.dumps(about))
    table = publish.facts_table(tmp_path)
    assert "| commit | a1 then b2 |" in table and "| versions | keras 3.8 then 3.9, scipy 1.2 |" in table
    assert "| hardware | 2 CPU cores (x86_64), 8 GPUs (NVIDIA H100) |" in table
    assert "| time | 1 s in its stages: tuning 1 s, without the GAN of gan/0123 |" in table


def test_what_cant_be_published_or_written_is_refused_in_one_sentence_and_untouched(tmp_path, capsys):
    sweep, mine = swept(tmp_path / "sweep", "color-blue", "color-red", "Not asked for."), tmp_path / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("mine")
    own_data = write_run(tmp_path / "own data")
    fields = {**flatten(laptop()), "data.source": "folder:mine"}
    (own_data / "config.json").write_text(json.dumps({"config": fields}))
    for words, said in (
        (["run", tmp_path, tmp_path / "p"], "finished run"),
        (["sweep", tmp_path, tmp_path / "p"], "expected the directory of a sweep"),
        (["sweep", sweep, mine / "README.md"], "README.md can't be used (File exists): mend that"),
        (["run", sweep / "color-blue", mine], "holds other things"),
        (["sweep", sweep, mine], "holds other things"),
        (["bundle", tmp_path], "no finished stage gan"),
        (["bundle", own_data], "expected landscapes"),
    ):
        assert publish.main([*map(str, words)]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert not (tmp_path / "p").exists() and [path.read_text() for path in mine.iterdir()] == ["mine"]


def swept(sweep, done, other, reason):
    """A sweep with one finished and one failed experiment."""
    finished(sweep / done, seed=len(done))  # or one run would stand for both
    row = row_of({**flatten(smoke()), "seed": len(done)}, results(), experiment=done)
    first = {"name": done, "status": "done", "reason": "", f"only-here-{done}": 1, **row}
    rows = [
        first,
        {"name": other, "status": "failed", "reason": reason, "experiment": other},
        {"name": "later", "status": "waiting", "experiment": "later"},
    ]
    write_rows(sweep / "results.csv", rows, tuple(first))
    (sweep / "timings.csv").write_text(f"name,seconds\n{done},30\n")
    return sweep


@pytest.mark.slow
def test_sweeps_are_published_with_what_failed_and_what_another_finished_stays(tmp_path, monkeypatch):
    drawing.coarsely(monkeypatch.setattr)
    folder = tmp_path / "published"
    first = swept(tmp_path / "first", "color-blue", "color-red", "The disk is full.")
    assert publish.main(["sweep", str(first), str(folder), "--weights-from", "Package x."]) == 0
    overview, measured = (folder / "README.md").read_text(), results()
    assert (
        "1 done, 1 failed; 1 more of its suites not run yet." in overview
        and "| later" not in overview
        and "Weights: Package x." in overview
    )
    assert "| color-red | | | | | failed: The disk is full. |" in overview
    effect = f"{measured['cohens_d']:.3g} ({measured['cohens_d_interval'][0]:.3g} to "
    assert f"| [color-blue](color-blue/README.md) | {measured['pir_before_mean']:.3g} |" in overview
    assert effect in overview and " | yes | |\n" in overview
    page = (folder / "color-blue" / "README.md").read_text()
    assert page.startswith("# color-blue\n") and "run smoke`" in page
    assert "Package x." not in page  # a compact estimator uses no file of weights
    assert json.loads((folder / "color-blue" / "published.json").read_text())["seconds"] == 370
    names = {path.name for path in folder.rglob("*")}
    assert {"figure-2.png", "figure-2.csv", "timings.csv", "pir-true.png"} <= names
    assert not any(name.endswith((".keras", ".npz")) and name != "figure-3.npz" for name in names)
    texts = [path.read_text() for path in folder.rglob("*") if path.suffix in (".md", ".json", ".csv")]
    assert not any(str(tmp_path) in text for text in texts)

    drawn = (folder / "figures" / "figure-3.csv").read_text()
    shutil.rmtree(first)
    second = swept(tmp_path / "second", "color-red", "color-blue", "Not asked for.")
    assert publish.main(["sweep", str(second), str(folder)]) == 0
    table = pd.read_csv(folder / "results.csv", index_col="name")
    assert table["status"].to_dict() == {"color-blue": "done", "color-red": "done", "later": "waiting"}
    assert table["only-here-color-blue"].notna().tolist() == [True, False, False]
    assert table["only-here-color-red"].notna().tolist() == [False, True, False]
    overview = (folder / "README.md").read_text()
    assert (
        "2 done; 1 more of its suites not run yet." in overview
        and "(color-blue/README.md)" in overview
        and "(color-red/README.md)" in overview
    )
    assert (folder / "timings.csv").read_text() == "name,seconds\ncolor-blue,30\ncolor-red,30\n"
    assert "2 experiments" in (folder / "figures" / "README.md").read_text()
    assert (folder / "figures" / "figure-3.csv").read_text() == drawn and drawn.count("\n") > 1


def test_a_publication_that_was_broken_off_can_be_repeated(tmp_path, monkeypatch, capsys):
    drawing.coarsely(monkeypatch.setattr)
    sweep, folder = swept(tmp_path / "sweep", "color-blue", "color-red", "Not asked for."), tmp_path / "published"
    report = sweep / "color-blue" / "report" / "done.json"
    facts = report.read_bytes()
    report.unlink()
    assert publish.main(["sweep", str(sweep), str(folder)]) == 2 and not folder.exists()
    assert "color-blue has no report/done.json" in capsys.readouterr().err
    report.write_bytes(facts)
    copy, left = shutil.copyfile, iter([True, True])  # files that are copied before the kill
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "copyfile", lambda *pair: copy(*pair) if next(left, False) else kill())
        publish.publish_sweep(sweep, folder)
    assert publish.main(["sweep", str(sweep), str(folder)]) == 0, capsys.readouterr().err
    assert {"README.md", "published.json"} <= {path.name for path in (folder / "color-blue").iterdir()}
    assert (folder / "README.md").read_text().startswith("# Experiments of size smoke\n")


def kill():
    raise KeyboardInterrupt


def test_every_field_in_which_laptop_departs_from_paper_is_listed(capsys):
    assert publish.main(["presets"]) == 0
    table = capsys.readouterr().out
    assert "| `tuning.steps` | 50000 | 150 |\n" in table and "preset" not in table and "pir_weight" not in table
    assert table in README.read_text(encoding="utf-8")


def picked(d):
    return {"cohens_d": 9.0, "change": 0.05 * d, "before_sd": 0.07, "after_sd": 0.01}


def test_published_runs_beside_each_other(tmp_path, capsys):
    folder = tmp_path / "published"
    publish.publish(finished(tmp_path / "run"), folder)
    about, found = (json.loads((folder / name).read_text()) for name in ("config.json", "results.json"))
    about["config"] |= {"estimator.output": "linear", "estimator.pessimism": 2.0, "tuning.pir_gradient_ratio": 1.0}
    best = {"n": 16, "before": picked(1.234), "after": picked(2.345)}
    found |= {"control": {"cohens_d": -0.123}, "best_of": best}
    for name, value in (("config.json", about), ("results.json", found)):
        (folder / name).write_text(json.dumps(value))
    assert publish.main(["compare", str(folder)]) == 0
    last = lambda: [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].split("|")[1:-1]]  # noqa: E731
    row = last()
    assert row[:3] == ["[published](published/README.md)", "compact, mean - 2 SD", "ratio 1, 6"]
    assert row[5:8] == ["-0.12", "1.23", "2.35"]
    for output, range_, expected in (
        ("bins", "unit", "color:blue, the paper's"),
        ("bins", "data", "[published](published/README.md)"),
    ):
        papers = {"estimator.output": output, "estimator.bin_range": range_, "estimator.pessimism": 0.0}
        about["config"] |= papers | {"tuning.pir_gradient_ratio": 0.0}
        (folder / "config.json").write_text(json.dumps(about))
        assert publish.main(["compare", str(folder)]) == 0
        assert last()[0] == expected


def test_the_table_of_what_is_beyond_the_paper_is_of_its_published_runs():
    folders = sorted(path.parent for path in (README.parent / "beyond").glob("*/published.json"))
    table = publish.comparison(folders)
    assert len(folders) >= 4 and table in (README.parent / "beyond" / "README.md").read_text(encoding="utf-8")
