"""A published sweep: a page for each finished experiment, and failed ones stay in with their reason."""

import csv
import json
import shutil

from pir_tf.paper.publish_sweep import main
from pir_tf.paper.rows import row_of


def test_a_sweep_is_published_with_what_failed_and_no_paths(smoke, tmp_path):
    run, _ = smoke
    sweep, folder = tmp_path / "sweep", tmp_path / "published"
    sweep.mkdir()
    shutil.copytree(run, sweep / "color-blue")
    about, results = (json.loads((run / name).read_text()) for name in ("config.json", "evaluation/results.json"))
    made = row_of(about["config"], results, experiment="color-blue")
    made = {key: str(value).lower() if isinstance(value, bool) else value for key, value in made.items()}
    rows = [{"suite": "colors", "name": "color-blue", "status": "done", "reason": "", **made}]
    rows.append({"suite": "colors", "name": "color-red", "status": "failed", "reason": "The disk is full."})
    with open(sweep / "results.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], restval="")
        writer.writeheader()
        writer.writerows(rows)
    (sweep / "timings.csv").write_text("name,seconds\ncolor-blue,30\n")
    assert main([str(sweep), str(folder), "--weights-from", "Package x."]) == 0

    overview = (folder / "README.md").read_text()
    assert "1 done, 1 failed" in overview
    assert "| color-red | | | | | failed: The disk is full. |" in overview
    assert f"| [color-blue](color-blue/README.md) | {results['pir_before_mean']:.3g} |" in overview
    page = (folder / "color-blue" / "README.md").read_text()
    assert "run smoke`" in page and "Package x." not in page  # a compact estimator uses no file of weights
    assert json.loads((folder / "color-blue" / "results.json").read_text()) == results
    names = {path.name for path in folder.rglob("*")}
    assert {"figure-2.png", "figure-2.csv", "timings.csv", "pir-true.png"} <= names
    assert not any(name.endswith((".keras", ".npz")) and name != "figure-3.npz" for name in names)
    texts = [path.read_text() for path in folder.rglob("*") if path.suffix in (".md", ".json", ".csv")]
    assert not any(str(tmp_path) in text for text in texts)


def test_no_sweep_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path), str(tmp_path / "p")]) == 2
    assert "expected the directory of a sweep" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_a_folder_that_cant_be_made_is_one_sentence(tmp_path, capsys):
    (tmp_path / "results.csv").touch()
    assert main([str(tmp_path), str(tmp_path / "results.csv")]) == 2
    said = capsys.readouterr().err
    assert "results.csv can't be used (File exists): mend that, or choose another folder." in said
    assert said.count("\n") == 1


def test_what_another_sweep_finished_stays_in_the_folder(smoke, tmp_path):
    run, _ = smoke
    folder = tmp_path / "published"
    for name, reason in (("color-blue", "The disk is full."), ("color-red", "Not asked for.")):
        sweep, other = tmp_path / name, {"color-blue": "color-red", "color-red": "color-blue"}[name]
        sweep.mkdir()
        shutil.copytree(run, sweep / name)
        about, results = (json.loads((run / file).read_text()) for file in ("config.json", "evaluation/results.json"))
        about["config"]["seed"] = len(name)  # or one run would stand for both
        (sweep / name / "config.json").write_text(json.dumps(about))
        made = {key: "" if value is None else value for key, value in row_of(about["config"], results).items()}
        made = {key: str(value).lower() if isinstance(value, bool) else value for key, value in made.items()}
        rows = [{"name": name, "status": "done", "reason": "", **made, "experiment": name}]
        rows.append({"name": other, "status": "failed", "reason": reason, "experiment": other})
        with open(sweep / "results.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["only-here-" + name, *rows[0]], restval="")
            writer.writeheader()
            writer.writerows(rows)
        (sweep / "timings.csv").write_text(f"name,seconds\n{name},30\n")
        assert main([str(sweep), str(folder)]) == 0
        drawn = (folder / "figures" / "figure-3.csv").read_text()
        assert drawn.count("\n") > 1
    with open(folder / "results.csv", newline="", encoding="utf-8") as file:
        written = {row["name"]: row for row in csv.DictReader(file)}
    assert {name: row["status"] for name, row in written.items()} == {"color-blue": "done", "color-red": "done"}
    assert {"only-here-color-blue", "only-here-color-red"} <= written["color-red"].keys()
    overview = (folder / "README.md").read_text()
    assert "2 done." in overview and "(color-blue/README.md)" in overview and "(color-red/README.md)" in overview
    assert (folder / "timings.csv").read_text() == "name,seconds\ncolor-blue,30\ncolor-red,30\n"
    assert "2 experiments" in (folder / "figures" / "README.md").read_text()
