"""The command line: help, presets, and every mistake in one sentence with exit code 2."""

import os
import subprocess
import sys

import pytest

from pir_tf.config import flatten
from pir_tf.errors import InputError
from pir_tf.experiments import dry_run, run
from pir_tf.experiments.command_line import parse, public_command, resume_command
from pir_tf.presets import laptop, paper, smoke


def test_laptop_is_the_preset_when_none_is_named():
    assert parse([]).experiment == laptop()
    assert parse(["--seed", "3"]).experiment.seed == 3


@pytest.mark.parametrize(("name", "config"), [("smoke", smoke), ("laptop", laptop), ("paper", paper)])
def test_the_first_word_names_the_preset(name, config):
    assert parse([name]).experiment == config()


def test_options_change_single_fields():
    config = parse(["paper", "--tuning.steps", "300", "--interactions.objective", "color:red-green"]).experiment
    assert config.tuning.steps == 300
    assert config.interactions.objective == "color:red-green"
    assert config.tuning.learning_rate == paper().tuning.learning_rate


def test_underscores_and_hyphens_are_the_same():
    assert parse(["--gan.batch_size", "8"]) == parse(["--gan.batch-size", "8"])


def test_help_lists_every_field_with_its_source(capsys):
    with pytest.raises(SystemExit) as end:
        parse(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for name in flatten(laptop()):
        assert f"--{name.replace('_', '-')}" in text
    assert text.count("Source:") > 20
    assert "--run-dir" in text
    assert "--dry-run" in text


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "from pir_tf.experiments.command_line import parse\n"
        "try:\n    parse(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'tensorflow', 'keras', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
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
        (["--estimator.temperature", "nan"], ["estimator.temperature is nan"]),
        (["--interactions.objective", "colour:blue"], ["'colour:blue'", "color:blue"]),
        (["--interactions.objective", "color:pink"], ["'color:pink'", "red, green, blue"]),
        (["--interactions.objective", "color:red-red"], ["'color:red-red'"]),
        (["--data.image_size", "32"], ["data.image_size is 32", "64"]),
        (["--data.source", "web"], ["'web'", "folder:PATH"]),
        (["--gan.generator", "mine"], ["'mine'", "bundled"]),
        (["--seed", "-1"], ["seed is -1"]),
        (["--stages", "gan", "serving"], ["serving", "tuning"]),
        (["--stages"], ["nothing"]),
        (["--preset", "smoke"], ["first word"]),
        (["laptop", "smoke"], ["smoke"]),
        (["--data.source", "folder:x"], ["bundled", "--gan.generator train"]),
        (["--tuning.steps", "7"], ["multiple of tuning.log_every"]),
    ],
)
def test_a_mistake_is_one_sentence(words, said, capsys):
    assert run.main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("Error: ")
    assert captured.err.count("\n") == 1
    for part in said:
        assert part in captured.err


def test_a_mistake_is_one_sentence_on_a_terminal_too():
    master, terminal = os.openpty()
    line = [sys.executable, "-m", "pir_tf.experiments.run", "--tuning.stepz", "3"]
    done = subprocess.run(line, stdout=terminal, stderr=terminal, check=False)
    os.close(terminal)
    text = os.read(master, 10_000).decode()
    assert done.returncode == 2
    assert text.strip() == (
        "Error: Unrecognized options: --tuning.stepz, 3; perhaps --tuning.steps was meant: see --help for every option."
    )


def test_a_mistake_raises_input_error_below_the_command():
    with pytest.raises(InputError):
        parse(["--tuning.steps", "0"])


def test_resume_command_names_the_run_directory_once():
    assert resume_command(["smoke"], "a b") == "python -m pir_tf.experiments.run smoke --run-dir 'a b'"
    assert resume_command(["--run-dir", "x"], "x").count("--run-dir") == 1
    assert resume_command(["--run_dir=x", "--seed", "1"], "x").endswith("--seed 1 --run-dir x")
    assert resume_command(["paper", "--run-dir", "x"], None) == "python -m pir_tf.experiments.run paper"


def test_the_published_command_holds_no_path():
    words = ["--data.source", "folder:/home/me/my photos", "--interactions.source=csv:a/b.csv", "--run-dir", "/home/x"]
    command = public_command(words)
    assert command == (
        "python -m pir_tf.experiments.run --data.source 'folder:my photos' --interactions.source=csv:b.csv"
    )


def test_the_published_command_keeps_addresses_whole():
    handle = "hub:https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5"
    command = public_command(["--estimator.weights", handle, f"--estimator.weights={handle}"])
    assert command.endswith(f"--estimator.weights {handle} --estimator.weights={handle}")
    assert public_command(["--estimator.weights", "hub:/home/me/module"]).endswith("--estimator.weights hub:module")


def test_dry_run_prints_the_config_and_runs_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run.main(["laptop", "--dry-run", "--seed", "9"]) == 0
    text = capsys.readouterr().out
    for name in flatten(laptop()):
        assert f"{name} = " in text
    assert "seed = 9" in text
    assert "Nothing was run" in text
    assert list(tmp_path.iterdir()) == []


def test_dry_run_counts_vgg16():
    words = ["laptop", "--interactions.objective", "vgg:pool3:k=20", "--evaluation.kid-weights", "none"]
    config = parse(words).experiment
    flops, known = dry_run.stage_flops(config), dry_run.counts(config)["images scored by VGG16"]
    assert known == 1000 + 1000 + 2000 + 32 * (150 // 25)
    assert flops["PIR by VGG16 up to pool3"] == known * dry_run.vgg16_flops("pool3", 224)
    assert "PIR by VGG16 up to pool3" not in dry_run.stage_flops(laptop())
    assert "images scored by VGG16" not in dry_run.counts(laptop())
    assert "KID by VGG16" in dry_run.stage_flops(parse([*words[:-1], "imagenet"]).experiment)
    assert dry_run.memory_megabytes(config) > dry_run.memory_megabytes(laptop())


def test_vgg16_has_its_known_number_of_operations():
    """15.3 and 15.5 thousand million multiplications and additions at 224 pixels."""
    assert dry_run.vgg16_flops("pool5", 224) / 2 == pytest.approx(15.35e9, rel=0.01)
    assert dry_run.vgg16_flops("fc8", 224) / 2 == pytest.approx(15.47e9, rel=0.01)
    assert dry_run.vgg16_flops("pool1", 32) == 2 * 9 * (3 * 64 + 64 * 64) * 32 * 32


@pytest.mark.parametrize("word", ["--first-round", "--first_round"])
def test_published_commands_hold_the_base_name_of_the_first_round(word):
    words = ["laptop", word, "/home/someone/runs/first/", "--interactions.vgg-weights", "file:/data/vgg16.h5"]
    said = public_command(words)
    assert f"{word} first --interactions.vgg-weights file:vgg16.h5" in said and "someone" not in said
    assert f"{word}=first" in public_command(["laptop", f"{word}=../runs/first"])
