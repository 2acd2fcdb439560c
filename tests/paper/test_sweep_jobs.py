"""A sweep's jobs: what they need, the GANs that they share, and what their directories and logs say of them."""

import json
from dataclasses import replace

import pytest

from pir_tf.config import changed, flatten
from pir_tf.errors import InputError
from pir_tf.paper import jobs
from pir_tf.paper.jobs import GAN_FILES, Job, gan_config, gan_key, is_finished, jobs_of, put_gan, reason_of
from pir_tf.paper.suites import Experiment
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory, write_json

TRAINED = changed(smoke(), gan={"generator": "train"})


@pytest.mark.parametrize(
    ("log", "code", "reason"),
    [
        ("Resume with: python\nError: /a/b/weights.h5 is not there: name it.\n", 2, "weights.h5 is not there: name it."),
        ("Error: an old one.\nfine now\nError: the new one.\n", 2, "the new one."),
        (
            "Traceback (most recent call last):\n  File \"/x/y.py\", line 3\nValueError: bad shape in /x/y.npz\n"
            "Tuning: 33%|###   | 2/6\rTuning:  50%|###  | 3/6\n",
            1,
            "ValueError: bad shape in y.npz",
        ),
        ("x\na.b.ResourceExhaustedError: OOM\n    at the node\n", 1, "a.b.ResourceExhaustedError: OOM"),
        ("KeyboardInterrupt\n", 130, "KeyboardInterrupt"),
        ("See https://www.example.org/a/b for more\n", 3, "See https://www.example.org/a/b for more"),
        ("\n", 3, "the process ended with exit code 3 and said nothing"),
        ("Error: never read.\n", -9, "the process was killed by signal 9 (often: memory ran out)"),
        ("", -15, "the process was killed by signal 15"),
    ],
)  # fmt: skip
def test_the_reason_of_a_failure_is_the_last_word_of_its_log_without_paths(tmp_path, log, code, reason):
    earlier = "Resume with: python\nError: é is not there: name it.\n".encode()
    (tmp_path / "log.txt").write_bytes(earlier + log.encode())
    assert reason_of(tmp_path / "log.txt", code, len(earlier)) == reason


def test_equal_gans_are_one_job_and_what_is_needed_comes_first(tmp_path):
    ones = [Experiment("a", TRAINED), Experiment("b", changed(TRAINED, tuning={"steps": 12}))]
    other = Experiment("c", changed(TRAINED, gan={"loss": "saturating"}))
    second = Experiment("e", replace(TRAINED, first_round="a"))  # goes on from the first's
    found = jobs_of([*ones, other, Experiment("d", smoke()), second], tmp_path)
    assert found["a"].needs == found["b"].needs != found["c"].needs
    assert found["d"].needs == () and found["d"].gan is found["e"].gan is None
    names = list(found)
    assert [name for name in names if name.startswith("gan/")] == [*found["a"].needs, *found["c"].needs]
    assert all(names.index(need) < names.index(name) for name, job in found.items() for need in job.needs)
    assert jobs.with_needs(["c", "d"], found) == [*found["c"].needs, "c", "d"]
    gan = found[found["a"].needs[0]]
    assert (gan.stages, gan.directory) == (("gan",), found["a"].gan)
    (tmp_path / "a" / "gan").mkdir(parents=True)
    write_json(tmp_path / "a" / "gan" / "done.json", {})
    assert jobs_of(ones, tmp_path)["a"].needs == ()
    assert (found["e"].needs, found["e"].config.first_round) == (("a",), str(tmp_path / "a"))
    assert gan.words[-4:] == ["--stages", "gan", "--run-dir", str(gan.directory)]


def test_runs_share_a_gan_when_all_that_decides_it_is_equal():
    for same, sections in [
        (True, {"interactions": {"objective": "color:red"}, "tuning": {"steps": 60}, "estimator": {"steps": 7}}),
        (True, {"evaluation": {"judge": True}, "gan": {"tensorboard": False}}),
        *((False, {"gan": fields}) for fields in ({"loss": "saturating"}, {"fake_class_weight": 0.0})),
        *((False, fields) for fields in ({"data": {"count": 129}}, {"compute": {"deterministic": False}})),
    ]:
        varied = changed(TRAINED, **sections)
        assert (gan_key(varied) == gan_key(TRAINED)) is same, sections
        assert gan_key(gan_config(varied)) == gan_key(varied) != gan_key(replace(varied, seed=1))
        kept = {name: fields for name, fields in sections.items() if name in ("gan", "data", "compute")}
        assert gan_config(varied) == changed(TRAINED, **kept)


@pytest.fixture
def trained(tmp_path):
    """A run directory in which stage `gan` is done."""
    run = RunDirectory(tmp_path / "gan" / "0123", gan_config(TRAINED))
    for name in GAN_FILES:
        run.file("gan", name).write_text(name)
    (run.path / "gan" / "checkpoints").mkdir()
    (run.path / "gan" / "checkpoints" / "step-4.npz").write_text("large")
    write_json(run.path / "data.json", {"sha256": "5e"})
    run.mark_done("gan", seconds=3.5, peak_memory_mb=900)
    run.close()
    return run.path


def test_a_run_gets_the_gan_whole_and_no_other_or_unfinished_one(trained, tmp_path):
    config = changed(TRAINED, interactions={"objective": "color:red"})
    (tmp_path / "run" / "gan").mkdir(parents=True)
    (tmp_path / "run" / "gan" / GAN_FILES[0]).write_text("of a copy that was killed")
    put_gan(trained, config, tmp_path / "run")
    run = RunDirectory(tmp_path / "run", config)
    assert {path.name for path in (run.path / "gan").iterdir()} == {*GAN_FILES, "done.json"}
    assert all((run.path / "gan" / name).read_text() == name for name in GAN_FILES)
    assert json.loads((run.path / "data.json").read_text()) == {"sha256": "5e"}
    facts = run.facts("gan")
    assert (facts["seconds"], facts["trained_in"]) == (3.5, "gan/0123")
    (trained / "gan" / GAN_FILES[0]).write_text("of a later training")
    put_gan(trained, config, tmp_path / "run")  # what a run has is left alone
    assert (run.path / "gan" / GAN_FILES[0]).read_text() == GAN_FILES[0]
    other = replace(changed(TRAINED, gan={"loss": "saturating"}), seed=2)
    with pytest.raises(InputError, match=r"another seed, gan\.loss than this run's"):
        put_gan(trained, other, tmp_path / "none")
    (trained / "gan" / "done.json").unlink()
    with pytest.raises(InputError, match="no finished stage gan"):
        put_gan(trained, TRAINED, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_done_means_the_last_stage_of_the_same_config_and_of_files_of_the_same_content(tmp_path):
    config = changed(smoke(), evaluation={"kid_weights": "file:/a/vgg.h5"})
    one = Job("one", tmp_path / "one", config, files={"file:/a/vgg.h5": "1" * 64})
    assert not is_finished(one)
    run = RunDirectory(one.directory, config, files={"evaluation.kid_weights": "1" * 64, "first_round": "3" * 64})
    run.mark_done("report")
    run.close()
    assert is_finished(one)
    assert not is_finished(replace(one, config=changed(config, tuning={"steps": 12})))
    tensorboard = not flatten(config)["tuning.tensorboard"]
    assert is_finished(replace(one, config=changed(config, tuning={"tensorboard": tensorboard})))
    moved = changed(smoke(), evaluation={"kid_weights": "file:/b/vgg.h5"})
    assert is_finished(replace(one, config=moved, files={"file:/b/vgg.h5": "1" * 64}))
    assert not is_finished(replace(one, config=moved, files={"file:/b/vgg.h5": "2" * 64}))
    assert is_finished(replace(one, files={}))
