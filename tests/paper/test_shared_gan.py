"""The GAN that a sweep trains once: which runs share it, and that it is put into them whole."""

import json
from dataclasses import replace

import pytest

from pir_tf.errors import InputError
from pir_tf.paper.shared_gan import FILES, gan_config, gan_key, needs_gan, put_gan
from pir_tf.paper.suites import changed
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory, write_json

CONFIG = changed(smoke(), gan={"generator": "train"})


@pytest.fixture
def trained(tmp_path):
    """A run directory in which stage `gan` is done."""
    run = RunDirectory(tmp_path / "gan" / "0123", gan_config(CONFIG))
    for name in FILES:
        run.file("gan", name).write_text(name)
    (run.path / "gan" / "checkpoints").mkdir()
    (run.path / "gan" / "checkpoints" / "step-4.npz").write_text("large")
    write_json(run.path / "data.json", {"sha256": "5e"})
    run.mark_done("gan", seconds=3.5, peak_memory_mb=900)
    run.close()
    return run.path


@pytest.mark.parametrize(
    ("sections", "same"),
    [
        ({"interactions": {"objective": "color:red"}}, True),
        ({"tuning": {"steps": 60}, "estimator": {"steps": 7}, "evaluation": {"judge": True}}, True),
        ({"gan": {"tensorboard": False}}, True),
        ({"gan": {"loss": "saturating"}}, False),
        ({"gan": {"fake_class_weight": 0.0}}, False),
        ({"data": {"count": 129}}, False),
        ({"compute": {"deterministic": False}}, False),
    ],
)
def test_runs_share_a_gan_when_all_that_decides_it_is_equal(sections, same):
    assert (gan_key(changed(CONFIG, **sections)) == gan_key(CONFIG)) is same


def test_another_seed_is_another_gan():
    assert gan_key(replace(CONFIG, seed=1)) != gan_key(CONFIG)


def test_only_runs_that_would_train_one_need_it():
    assert needs_gan(CONFIG)
    assert not needs_gan(smoke())
    assert not needs_gan(replace(CONFIG, first_round="color-blue"))


def test_the_run_that_trains_it_has_the_fields_that_decide_it():
    varied = changed(CONFIG, gan={"loss": "saturating"}, tuning={"steps": 60}, interactions={"objective": "color:red"})
    assert gan_config(varied) == changed(CONFIG, gan={"loss": "saturating"})
    assert gan_key(gan_config(varied)) == gan_key(varied)


def test_a_run_gets_it_whole_and_finds_the_stage_done(trained, tmp_path):
    config = changed(CONFIG, interactions={"objective": "color:red"})
    put_gan(trained, config, tmp_path / "run")
    run = RunDirectory(tmp_path / "run", config)
    assert run.is_done("gan")
    assert {path.name for path in (run.path / "gan").iterdir()} == {*FILES, "done.json"}
    assert all((run.path / "gan" / name).read_text() == name for name in FILES)
    assert json.loads((run.path / "data.json").read_text()) == {"sha256": "5e"}
    facts = run.facts("gan")
    assert (facts["seconds"], facts["trained_in"]) == (3.5, "gan/0123")


def test_what_a_run_has_is_left_alone(trained, tmp_path):
    (tmp_path / "run" / "gan").mkdir(parents=True)
    write_json(tmp_path / "run" / "gan" / "done.json", {"seconds": 1})
    put_gan(trained, CONFIG, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run" / "gan").iterdir()] == ["done.json"]


def test_half_a_copy_is_made_whole(trained, tmp_path):
    (tmp_path / "run" / "gan").mkdir(parents=True)
    (tmp_path / "run" / "gan" / FILES[0]).write_text("of a copy that was killed")
    put_gan(trained, CONFIG, tmp_path / "run")
    assert (tmp_path / "run" / "gan" / FILES[0]).read_text() == FILES[0]


def test_another_gan_is_refused_by_the_fields_that_differ(trained, tmp_path):
    other = replace(changed(CONFIG, gan={"loss": "saturating"}), seed=2)
    with pytest.raises(InputError, match=r"another seed, gan\.loss than this run's"):
        put_gan(trained, other, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unfinished_gan_is_refused(trained, tmp_path):
    (trained / "gan" / "done.json").unlink()
    with pytest.raises(InputError, match="no finished stage gan"):
        put_gan(trained, CONFIG, tmp_path / "run")
