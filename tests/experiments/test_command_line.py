"""The command line: help, presets, and every mistake in one sentence with exit code 2."""

import dataclasses
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from pir_tf.config import flatten
from pir_tf.errors import InputError
from pir_tf.experiments import dry_run, run
from pir_tf.experiments.command_line import parse, public_command, resume_command
from pir_tf.paper.jobs import command_words
from pir_tf.presets import by_papers_method, laptop, paper, preset, smoke


def test_the_first_word_names_the_preset_and_options_change_single_fields():
    presets = (([], laptop), (["smoke"], smoke), (["laptop"], laptop), (["paper"], paper))
    for words, config in presets:
        assert parse(words).experiment == config()
        changed = parse([*words, "--tuning.steps", "300", "--seed", "3"]).experiment
        tuning = dataclasses.replace(config().tuning, steps=300)
        assert changed == dataclasses.replace(config(), seed=3, tuning=tuning)
    assert parse(["--gan.batch_size", "8"]) == parse(["--gan.batch-size", "8"])


def test_help_lists_every_field_with_its_source(capsys):
    with pytest.raises(SystemExit) as end:
        parse(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for name in flatten(laptop()):
        assert f"--{name.replace('_', '-')}" in text
    assert text.count("Source:") > 20 and "--run-dir" in text and "--dry-run" in text
    assert "\n  python -m pir_tf.experiments.run laptop --interactions.objective color:red --run-dir runs/red\n" in text


def test_help_imports_nothing_heavy():
    program = """
import contextlib, sys
from pir_tf.experiments.command_line import parse
with contextlib.suppress(SystemExit):
    parse(["--help"])
assert not {"numpy", "tensorflow", "keras", "scipy", "pandas", "matplotlib"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["huge"], ["'huge'", "smoke, laptop, paper"]),
        (["laptop", "--tuning.stepz", "3"], ["--tuning.stepz", "--tuning.steps"]),
        (["--tuning.steps", "abc"], ["--tuning.steps", "'abc'"]),
        (["--tuning.steps"], ["--tuning.steps", "Missing value"]),
        (["--estimator.temperature", "0"], ["estimator.temperature is 0.0", "above 0"]),
        (["--interactions.objective", "color:pink"], ["'color:pink'", "red, green, blue"]),
        (["--stages", "gan", "serving"], ["serving", "tuning"]),
        (["--stages"], ["nothing"]),
        (["--run-dir", ""], ["path is empty"]),
        (["--run_dir="], ["path is empty"]),
        (["--first-round", ""], ["path is empty"]),
        (["--interactions.source", "csv:~nobody-here/a.csv"], ["home folder that isn't known"]),
        (["--preset", "smoke"], ["first word"]),
        (["laptop", "smoke"], ["smoke"]),
        (["--data.source", "folder:x"], ["bundled", "--gan.generator train"]),
        (["--tuning.steps", "7", "--tuning.log-every", "5"], ["multiple of tuning.log_every"]),
    ],
)
def test_a_mistake_is_one_sentence(words, said, capsys):
    assert run.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ") and error.count("\n") == 1
    assert all(part in error for part in said)


def test_a_mistake_is_one_sentence_on_a_terminal_too():
    master, terminal = os.openpty()
    line = [sys.executable, "-m", "pir_tf.experiments.run", "--tuning.stepz", "3"]
    done = subprocess.run(line, stdout=terminal, stderr=terminal, check=False)
    os.close(terminal)
    text = os.read(master, 10_000).decode()
    said = "Unrecognized options: --tuning.stepz, 3; perhaps --tuning.steps was meant: see --help for every option."
    assert done.returncode == 2 and text.strip() == f"Error: {said}"


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("smoke --gan.steps 8", {}),
        ("laptop --gan.steps 20000", {}),
        ("laptop --gan.steps=200", {"gan.decay_steps": 76}),
        ("laptop --gan.steps 150", {"gan.decay_steps": 57, "gan.log_every": 50}),
        ("laptop --gan.steps 150 --gan.decay_steps 0", {"gan.log_every": 50}),
        ("laptop --tuning.steps 12 --gan.steps 20", {"gan.decay_steps": 7, "gan.log_every": 20, "tuning.log_every": 1}),
    ],
)
def test_what_a_number_of_steps_would_refuse_fits_it_and_is_said(words, changed):
    words = [*words.split(), "--gan.generator", "train"]
    options = parse(words)
    asked = {word.strip("-").split("=")[0] for word in words}
    start = flatten(preset(words[0]))
    differ = {name: value for name, value in flatten(options.experiment).items() if value != start[name]}
    assert {name: value for name, value in differ.items() if name not in asked} == changed
    assert set(options.notes) == {
        f"{name} is {value} in place of {start[name]}, to fit {name[: name.index('.')]}.steps."
        for name, value in changed.items()
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--gan.steps 200", ["gan.steps changes nothing without --gan.generator train."]),
        ("--gan.import-range 0 1", ["gan.import_range changes nothing without --gan.generator import:FILE."]),
        ("--tuning.anchor-weight=5", ["tuning.anchor_weight changes nothing without --gan.generator import:FILE."]),
        ("--tuning.kl-weight 5", ["tuning.kl_weight changes nothing without --tuning.kind shift or residual."]),
        ("--tuning.kl-weight 5 --tuning.kind shift", []),
        (
            "--interactions.explore 0.5",
            ["interactions.explore changes nothing without --interactions.source people:DATABASE."],
        ),
    ],
)
def test_an_option_without_an_effect_is_said(words, said):
    assert list(parse(words.split()).notes) == said


def test_batches_fit_a_folder_of_few_images_and_it_is_said(tmp_path):
    for name in ("coast/1.png", "coast/2.png", "coast/.hidden", "hill/1.png", ".trash/1.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    words = ["--data.source", f"folder:{tmp_path}", "--gan.generator", "train"]
    options = parse(words)
    assert (options.experiment.gan.batch_size, options.experiment.tuning.batch_size) == (3, 3)
    assert options.notes == tuple(
        f"{name}.batch_size is 3 in place of {size}, to fit the 3 images."
        for name, size in (("gan", 32), ("tuning", 16))
    )
    assert parse([*words, "--data.classes", "coast"]).experiment.gan.batch_size == 2
    assert parse([*words, "--gan.batch-size", "8"]).experiment.gan.batch_size == 8  # which the run refuses
    assert parse([words[0], "folder:nowhere", *words[2:]]).experiment.gan.batch_size == 32


def test_the_home_folder_is_meant_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    words = "--interactions.source csv:~/a.csv --evaluation.source=csv:~/b.csv --run-dir=~/r --first-round ~/1".split()
    options = parse([*words, "--gan.generator", "import:~/g.keras"])
    held = flatten(options.experiment)
    expected = {"interactions.source": "csv:/home/me/a.csv", "evaluation.source": "csv:/home/me/b.csv"}
    expected |= {"first_round": "/home/me/1", "gan.generator": "import:/home/me/g.keras"}
    assert {name: held[name] for name in expected} == expected and str(options.run_dir) == "/home/me/r"
    assert parse(["paper", "--estimator.weights=file:~/w.npz"]).experiment.estimator.weights == "file:/home/me/w.npz"
    assert parse(["--data.source", "folder:~", "--gan.generator", "train"]).experiment.data.source == "folder:/home/me"


def test_resume_command_names_the_run_directory_once():
    assert resume_command(["smoke"], "a b") == "python -m pir_tf.experiments.run smoke --run-dir 'a b'"
    assert resume_command(["--run-dir", "x"], "x").count("--run-dir") == 1
    assert resume_command(["--run_dir=x", "--seed", "1"], "x").endswith("--seed 1 --run-dir x")
    assert resume_command(["paper", "--run-dir", "x"], None) == "python -m pir_tf.experiments.run paper"


HUB = "hub:https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data.source", "folder:/home/me/my photos"], "--data.source 'folder:my photos'"),
        (["--interactions.source=csv:a/b.csv", "--run-dir", "/home/x"], "--interactions.source=csv:b.csv"),
        (["--estimator.weights", HUB], f"--estimator.weights {HUB}"),
        ([f"--estimator.weights={HUB}"], f"--estimator.weights={HUB}"),
        (["--estimator.weights", "hub:/home/me/module"], "--estimator.weights hub:module"),
        (["laptop", "--interactions.vgg-weights", "file:/data/v.h5"], "laptop --interactions.vgg-weights file:v.h5"),
        (["--first-round", "/home/someone/first/"], "--first-round first"),
        (["--first_round=../runs/first"], "--first_round=first"),
        (["--gan.generator", "import:/home/me/mine.keras"], "--gan.generator import:mine.keras"),
    ],
)
def test_the_published_command_holds_no_path_but_addresses_whole(words, said):
    assert public_command(words) == f"python -m pir_tf.experiments.run {said}"


def test_dry_run_prints_the_config_and_runs_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run.main(["laptop", "--dry-run", "--seed", "9"]) == 0
    text = capsys.readouterr().out
    for name in flatten(laptop()):
        assert f"{name} = " in text
    assert "seed = 9" in text and "Nothing was run" in text and list(tmp_path.iterdir()) == []
    assert "About how long here (" in text and "on one GPU (by bare steps on H200s with TensorFlow 2.21, partly" in text


@pytest.mark.slow
def test_dry_run_says_nothing_of_tensorflow_s(tmp_path):
    words = [sys.executable, "-m", "pir_tf.cli", "run", "smoke", "--dry-run"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_CPP")}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""


def test_dry_run_counts_the_rendering_of_real_images(monkeypatch, capsys):
    config, ticks = parse(["--data.count", "5000"]).experiment, iter((0.0, 0.64))  # 64 images in 0.64 s
    with monkeypatch.context() as patch:
        patch.setattr(dry_run, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
        patch.setattr(dry_run.landscapes, "render", lambda count, **_: None)
        assert dry_run.rendering_seconds(config) == pytest.approx(50)
    assert (
        dry_run.rendering_seconds(parse(["--data.source", "folder:there", "--gan.generator", "train"]).experiment) == 0
    )
    monkeypatch.setattr(dry_run, "rendering_seconds", lambda config: 720.0)
    assert dry_run.describe(laptop()).count("12 minutes") == 2


def test_dry_run_counts_vgg16():
    words = ["laptop", "--interactions.objective", "vgg:pool3:k=20", "--interactions.vgg-image-size", "112"]
    config = parse(words).experiment
    flops, known = dry_run.stage_flops(config), dry_run.counts(config)["images scored by VGG16"]
    assert known == 1000 + 1000 + 2000 + (150 // 25) * 32  # those along the way are for display
    # 9.3 thousand million multiplications and additions up to pool3 at 224 pixels
    assert flops["PIR by VGG16 up to pool3"] == pytest.approx(known * 2 * 9.33e9 / 4, rel=0.01)
    assert "PIR by VGG16 up to pool3" not in dry_run.stage_flops(laptop())
    assert "images scored by VGG16" not in dry_run.counts(laptop())
    kid = [*words, "--evaluation.kid-weights", "imagenet", "--evaluation.kid-images", "300"]
    three, four = (
        dry_run.stage_flops(parse([*kid, *more]).experiment)["KID by VGG16"] for more in ([], ["--evaluation.control"])
    )
    assert three == pytest.approx(900 * 2 * 15.35e9, rel=0.01) and four == pytest.approx(three * 4 / 3)
    assert dry_run.memory_megabytes(config) > dry_run.memory_megabytes(laptop())
    linear = ["paper", "--estimator.output", "linear", "--estimator.backbone"]
    one, joined, own = (
        dry_run.memory_megabytes(parse([*linear, name]).experiment)
        for name in ("inception_v3", "inception_v3+discriminator", "discriminator")
    )
    assert joined >= one > 2 * own


def test_dry_run_knows_what_a_linear_estimator_and_moved_latents_need():
    linear = ["laptop", "--estimator.output", "linear", "--estimator.image-size", "96", "--estimator.backbone"]
    plain, joined = (parse([*linear, name]).experiment for name in ("discriminator", "inception_v3+discriminator"))
    assert (
        "estimator steps" not in dry_run.counts(plain)
        and dry_run.counts(by_papers_method("laptop"))["estimator steps"] > 0
    )
    moved = parse([*linear, "discriminator", "--tuning.kind", "shift"]).experiment
    tuning = [dry_run.stage_flops(config)["tuning"] for config in (moved, plain, joined)]
    assert tuning == sorted(tuning) and tuning[0] < 0.8 * tuning[1]


def test_dry_run_counts_what_stands_beside_the_tuned_images():
    plain = parse(["laptop", "--interactions.objective", "vgg:pool2:k=1"]).experiment
    for words, images, more in (
        (["--evaluation.control"], 1000, 150 * 16 * (3 * 0.54e9 + 8 * 0.25e9)),
        (["--evaluation.best-of", "16"], 2 * 250, 2 * 250 * 16 * (0.54e9 + 0.25e9)),
        (["--evaluation.plug-and-play", "100"], 250, 250 * 30 * 3 * (0.54e9 + 0.25e9)),
        (["--evaluation.control", "--tuning.kind", "shift"], 0, 0),  # nothing would move
    ):
        asked = parse(["laptop", "--interactions.objective", "vgg:pool2:k=1", *words]).experiment
        counted = [dry_run.counts(config)["images scored by VGG16"] for config in (asked, plain)]
        flops = [dry_run.stage_flops(config)["evaluation"] for config in (asked, plain)]
        assert counted[0] - counted[1] == images and flops[0] - flops[1] == pytest.approx(more)
    assert dry_run.counts(parse(["--evaluation.control"]).experiment)["steps of the control"] == 150
    unjudged = parse(["--evaluation.control", "--evaluation.best-of", "16", "--evaluation.source", "none"]).experiment
    assert dry_run.stage_flops(unjudged) == dry_run.stage_flops(parse([]).experiment)
    imported = parse(["laptop", "--gan.generator", "import:x.keras"]).experiment
    assert "real images (rendered)" not in dry_run.counts(imported)
    smaller = [dry_run.memory_megabytes(config) for config in (imported, by_papers_method("laptop"))]
    assert smaller[0] < smaller[1]
    assert dry_run.stage_flops(imported)["tuning"] < dry_run.stage_flops(by_papers_method("laptop"))["tuning"]


@pytest.mark.parametrize(
    "words, estimator, ratio, noted",
    [
        ("", ("linear", "discriminator"), 1.0, ""),
        ("--estimator.output linear --estimator.backbone discriminator", ("linear", "discriminator"), 1.0, ""),
        ("--tuning.pir-weight 30", ("linear", "discriminator"), 0.0, ""),
        ("--estimator.output=scalar", ("scalar", "compact"), 0.0, ""),
        ("--estimator.temperature 1", ("bins", "compact"), 0.0, "to fit estimator.temperature."),
        ("--estimator.steps 60", ("bins", "compact"), 0.0, "to fit estimator.steps."),
        ("--estimator.backbone compact", ("bins", "compact"), 0.0, "to fit estimator.backbone compact."),
        (
            "--gan.generator import:x.keras",
            ("bins", "compact"),
            0.0,
            "imported generator, which has no discriminator",
        ),
        ("--gan.generator=import:x.keras --estimator.output linear", ("linear", "compact"), 0.0, ""),
    ],
)
def test_size_laptop_takes_the_papers_method_where_a_part_of_it_is_named_or_no_discriminator_is_there(
    words, estimator, ratio, noted
):
    options = parse(words.split())
    found = options.experiment
    assert (found.estimator.output, found.estimator.backbone) == estimator and found.estimator.pessimism == 0
    assert found.tuning.pir_gradient_ratio == ratio
    assert len(options.notes) == bool(noted) and all(noted in note for note in options.notes)
    assert parse(command_words(found)).experiment == found


def test_bins_where_the_data_are_have_the_temperature_they_need():
    options = parse(["--estimator.bin-range", "data"])
    assert options.experiment.estimator.bin_range == "data" and options.experiment.estimator.temperature == 1
    assert "estimator.temperature is 1.0 in place of 0.01, to fit estimator.bin_range data." in options.notes
    assert parse(command_words(options.experiment)).experiment == options.experiment
    with pytest.raises(InputError, match="estimator.temperature is 0.5, expected 1 with --estimator.bin-range data"):
        parse(["--estimator.bin-range=data", "--estimator.temperature", "0.5"])


@pytest.mark.parametrize(
    "words, pessimism, noted",
    [
        ("--tuning.steps 600", 1.0, "estimator.pessimism is 1.0 in place of 0.0, to fit tuning.steps 600."),
        ("--tuning.steps 600 --estimator.pessimism 0", 0.0, ""),
        ("--tuning.steps 600 --estimator.pessimism 5", 5.0, ""),
        ("--tuning.steps 300", 0.0, ""),
        ("--tuning.steps 600 --estimator.output bins", 0.0, ""),
        ("paper --estimator.output linear", 1.0, "to fit tuning.steps 50,000."),
    ],
)
def test_a_long_tuning_by_a_linear_estimator_has_a_doubt(words, pessimism, noted):
    options = parse(words.split())
    assert options.experiment.estimator.pessimism == pessimism
    said = [note for note in options.notes if "pessimism" in note]
    assert len(said) == bool(noted) and all(note.endswith(noted) for note in said)
    assert parse(command_words(options.experiment)).experiment == options.experiment


def test_a_run_keeps_the_doubt_that_it_has_and_people_s_answers_get_none(tmp_path):
    words = ["--run-dir", str(tmp_path), "--tuning.steps", "600"]
    for held in (0.0, 1.0):
        (tmp_path / "config.json").write_text(json.dumps({"config": {"estimator.pessimism": held}}))
        for steps in ("600", "150"):
            found = parse([*words[:-1], steps])
            assert found.experiment.estimator.pessimism == held
        assert parse([*words, "--estimator.pessimism", "2"]).experiment.estimator.pessimism == 2
    (tmp_path / "config.json").write_text(json.dumps({"config": {}}))  # of a version without it
    assert parse(words).experiment.estimator.pessimism == 0
    people = parse(["--tuning.steps", "600", "--interactions.source", "csv:answers.csv", "--evaluation.source", "none"])
    assert people.experiment.estimator.pessimism == 0


def test_readouts_of_other_images_are_counted():
    words = ["--estimator.output", "scalar", "--estimator.backbone", "inception_v3", "--estimator.image-size", "75"]
    head = [*words, "--estimator.trainable", "head", "--estimator.steps", "100", "--evaluation.no-judge"]
    steps = [
        dry_run.counts(parse([*head, *more]).experiment)["estimator steps"]
        for more in ([], ["--estimator.pessimism", "1"])
    ]
    assert steps == [100, 900]
