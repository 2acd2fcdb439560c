"""A sweep's jobs: what they need, what is run for them, and what their directories and logs say of them."""

from dataclasses import replace

import pytest

from pir_tf.experiments.command_line import parse
from pir_tf.paper.jobs import Job, is_finished, is_held, jobs_of, reason_of, states, with_needs
from pir_tf.paper.suites import SUITES, Experiment, Weights, changed
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
        ("", 3, "the process ended with exit code 3 and said nothing"),
        ("Error: never read.\n", -9, "the process was killed by signal 9 (often: memory ran out)"),
        ("", -15, "the process was killed by signal 15"),
    ],
)  # fmt: skip
def test_the_reason_of_a_failure_is_the_last_word_of_its_log_without_paths(tmp_path, log, code, reason):
    (tmp_path / "log.txt").write_text(log)
    assert reason_of(tmp_path / "log.txt", code) == reason


def test_the_reason_is_not_of_an_earlier_process(tmp_path):
    log, old = tmp_path / "log.txt", "Resume with: python\nError: é is not there: name it.\n"
    log.write_text(old + "Traceback (most recent call last):\nValueError: bad shape\n")
    assert reason_of(log, 1, len(old.encode())) == "ValueError: bad shape"
    assert reason_of(log, 3, log.stat().st_size) == "the process ended with exit code 3 and said nothing"


def test_a_job_runs_exactly_its_config(tmp_path):
    for job in jobs_of(SUITES["paper"]("smoke", Weights()), tmp_path).values():
        options = parse(job.words)
        assert (options.experiment, options.run_dir) == (job.config, job.directory)
        assert options.stages == (job.stages or options.stages)


def test_first_rounds_are_named_by_their_directories(tmp_path):
    jobs = jobs_of(SUITES["iteration"]("smoke", Weights()), tmp_path)
    second = jobs["vgg-pool2-filter-34-round-2"]
    assert second.config.first_round == str(tmp_path / "vgg-pool2-filter-34")
    assert second.needs == ("vgg-pool2-filter-34",)


def test_equal_gans_are_one_job_and_what_is_needed_comes_first(tmp_path):
    ones = [Experiment("a", TRAINED), Experiment("b", changed(TRAINED, tuning={"steps": 12}))]
    other = Experiment("c", changed(TRAINED, gan={"loss": "saturating"}))
    jobs = jobs_of([*ones, other, Experiment("d", smoke())], tmp_path)
    assert jobs["a"].needs == jobs["b"].needs != jobs["c"].needs
    assert jobs["d"].needs == () and jobs["d"].gan is None
    names = list(jobs)
    assert [name for name in names if name.startswith("gan/")] == [*jobs["a"].needs, *jobs["c"].needs]
    assert all(names.index(need) < names.index(name) for name, job in jobs.items() for need in job.needs)
    assert with_needs(["c", "d"], jobs) == [*jobs["c"].needs, "c", "d"]
    gan = jobs[jobs["a"].needs[0]]
    assert (gan.stages, gan.directory) == (("gan",), jobs["a"].gan)


def test_a_run_that_has_its_gan_needs_none(tmp_path):
    (tmp_path / "a" / "gan").mkdir(parents=True)
    write_json(tmp_path / "a" / "gan" / "done.json", {})
    assert jobs_of([Experiment("a", TRAINED)], tmp_path)["a"].needs == ()


def finish(job, config=None, files=None):
    run = RunDirectory(job.directory, config or job.config, files=files)
    for stage in job.stages or ("report",):
        run.mark_done(stage)
    run.close()


def test_done_means_the_last_stage_of_the_same_config(tmp_path):
    one = Job("one", tmp_path / "one", smoke())
    assert not is_finished(one)
    finish(one)
    assert is_finished(one)
    assert not is_finished(replace(one, config=changed(smoke(), tuning={"steps": 12})))
    assert is_finished(replace(one, config=changed(smoke(), tuning={"tensorboard": not smoke().tuning.tensorboard})))


def test_done_means_files_of_the_same_content_too(tmp_path):
    config = changed(smoke(), evaluation={"kid_weights": "file:/a/vgg.h5"})
    one = Job("one", tmp_path / "one", config, files={"file:/a/vgg.h5": "1" * 64})
    finish(one, files={"evaluation.kid_weights": "1" * 64, "first_round": "3" * 64})
    assert is_finished(one)
    moved = changed(smoke(), evaluation={"kid_weights": "file:/b/vgg.h5"})
    assert is_finished(replace(one, config=moved, files={"file:/b/vgg.h5": "1" * 64}))
    assert not is_finished(replace(one, config=moved, files={"file:/b/vgg.h5": "2" * 64}))
    assert is_finished(replace(one, files={}))


def test_states_come_from_the_directories_and_pass_on_to_what_needs_them(tmp_path):
    suite = [
        Experiment("lacking", smoke(), "no weights"),
        Experiment("lacking-2", replace(smoke(), first_round="lacking")),
        Experiment("broken", smoke()),
        Experiment("broken-2", replace(smoke(), first_round="broken")),
        Experiment("fine", replace(smoke(), seed=3)),
    ]
    jobs = jobs_of(suite, tmp_path)
    finish(jobs["fine"])
    (tmp_path / "broken").mkdir()
    write_json(tmp_path / "broken" / "failed.json", {"reason": "a leak."})
    assert states(jobs) == {
        "lacking": ("not run", "no weights"),
        "lacking-2": ("not run", "it needs lacking, which was not run: no weights"),
        "broken": ("failed", "a leak."),
        "broken-2": ("failed", "it needs broken, which failed: a leak."),
        "fine": ("done", ""),
    }


def test_a_directory_is_held_while_a_process_works_in_it(tmp_path):
    assert not is_held(tmp_path / "run")
    run = RunDirectory(tmp_path / "run", smoke())
    assert is_held(tmp_path / "run")
    run.close()
    assert not is_held(tmp_path / "run")
