"""Published runs and the bundled weights' card say how they were made, and no machine's paths."""

import json

import pytest
from PIL import Image

from pir_tf.config import flatten
from pir_tf.errors import InputError
from pir_tf.experiments import bundle
from pir_tf.paper import publish
from pir_tf.presets import laptop


def test_a_run_is_published_with_how_it_was_made(smoke, tmp_path):
    run, _ = smoke
    folder = tmp_path / "published"
    assert publish.main([str(run), str(folder)]) == 0
    text = (folder / "README.md").read_text()
    assert "`python -m pir_tf.experiments.run smoke`" in text
    for name in ("commit", "seed", "hardware", "time", "versions", "Cohen's d"):
        assert name in text
    everything = "".join(path.read_text() for path in folder.iterdir() if path.suffix in (".md", ".json", ".csv"))
    assert str(run) not in everything
    results = json.loads((folder / "results.json").read_text())
    assert results == json.loads((run / "evaluation" / "results.json").read_text())
    assert Image.open(folder / "pairs.png").size == (8 * 128 + 9 * 2, 4 * 128 + 5 * 2)


def test_a_run_that_went_on_with_other_versions_names_them(tmp_path):
    about = {"config": {"seed": 0}, "command": "x", "commit": "a1", "started": "now"}
    about |= {"hardware": {"cores": 2, "machine": "x86_64"}, "versions": {"keras": "3.8", "scipy": "1.2"}}
    about["continued"] = [{"commit": "b2", "versions": {"keras": "3.9", "scipy": "1.2"}}]
    (tmp_path / "gan").mkdir()
    (tmp_path / "gan" / "done.json").write_text('{"seconds": 1.0, "peak_memory_mb": 10}')
    (tmp_path / "config.json").write_text(json.dumps(about))
    table = publish.facts_table(tmp_path)
    assert "| commit | a1 then b2 |" in table and "| versions | keras 3.8 then 3.9, scipy 1.2 |" in table


def test_an_unfinished_run_is_not_published(tmp_path, capsys):
    assert publish.main([str(tmp_path), str(tmp_path / "p")]) == 2
    assert "finished run" in capsys.readouterr().err
    assert publish.main([]) == 2
    assert not (tmp_path / "p").exists()


def test_a_folder_that_cant_be_made_is_one_sentence(tmp_path, capsys):
    for name in (*publish.COPIED, "report/done.json"):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).touch()
    (tmp_path / "file").touch()
    assert publish.main([str(tmp_path / "run"), str(tmp_path / "file" / "p")]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'file' / 'p'} can't be used (Not a directory)" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("recorded", "page", "card"),
    [
        ({}, "no GPU used", "no GPU"),
        ({"gpus": []}, "no GPU used", "no GPU"),
        ({"gpus": ["Tesla T4"]}, "1 GPU (Tesla T4)", "1 GPU (Tesla T4)"),
        ({"gpus": ["NVIDIA H100"] * 8}, "8 GPUs (NVIDIA H100)", "8 GPUs (NVIDIA H100)"),
    ],
)
def test_pages_say_which_gpus_were_there(tmp_path, recorded, page, card):
    (tmp_path / "gan").mkdir()
    hardware = {"system": "Linux", "machine": "x86_64", "cores": 2, **recorded}
    about = {"config": flatten(laptop()), "command": "c", "commit": None, "versions": {}, "started": "s"}
    (tmp_path / "config.json").write_text(json.dumps({**about, "hardware": hardware}))
    (tmp_path / "gan" / "done.json").write_text('{"seconds": 1.0, "peak_memory_mb": 1, "finished": "f"}')
    (tmp_path / "gan" / "history.csv").write_text("step,swd\n2,300.5\n")
    assert f"| hardware | 2 CPU cores (x86_64), {page} |" in publish.facts_table(tmp_path)
    assert f"| hardware | Linux, x86_64, 2 cores, {card} |" in bundle.card(tmp_path, 1)


def test_the_card_is_made_of_the_runs_own_files(smoke, tmp_path):
    run, _ = smoke
    for name in ("config.json", "gan/done.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((run / name).read_text())
    (tmp_path / "gan" / "history.csv").write_text("step,swd\n2,300.5\n4,\n6,200.25\n8,250\n")
    text = bundle.card(tmp_path, 12_345_678)
    assert "12.3 MB" in text
    assert "kept: step 6" in text
    assert "200.2" in text
    assert "the smallest of 3 measures" in text
    assert "(the first: 300.5)" in text


def test_only_finished_runs_on_the_embedded_data_are_bundled(smoke, tmp_path, capsys):
    assert bundle.main([str(tmp_path)]) == 2
    assert "no finished stage gan" in capsys.readouterr().err
    with pytest.raises(InputError, match="expected landscapes"):
        run, _ = smoke
        (tmp_path / "gan").mkdir()
        (tmp_path / "gan" / "done.json").write_text("{}")
        config = json.loads((run / "config.json").read_text())
        config["config"]["data.source"] = "folder:mine"
        (tmp_path / "config.json").write_text(json.dumps(config))
        bundle.bundle(tmp_path)
