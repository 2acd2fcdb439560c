"""What the commands share: the command `pir-tf`, exit codes, what is said with them, paths, and settings of libraries."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

import pir_tf
from pir_tf import cli
from pir_tf.commands import Parser, exit_code, lasting_output, user_path
from pir_tf.errors import InputError


def raiser(error):
    return mock.Mock(side_effect=error)


def test_help_lists_every_command(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name, (_, said) in cli.COMMANDS.items():
        assert f"  {name} " in text and said in text
    assert cli.main([]) == 2
    assert "usage: pir-tf COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_answers_help(name, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])
    assert end.value.code == 0 and "usage" in capsys.readouterr().out.lower()


@pytest.mark.parametrize(
    ("words", "said"),
    [(["tune"], "'tune' is unknown, expected run, loop, people, sweep, "), (["sweep", "colours"], "'colours'")],
)
def test_a_command_that_is_none_and_one_that_refuses(capsys, words, said):
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ") and said in error and error.count("\n") == 1


OTHERWISE = "mend that, or choose another --to."


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("The seed is -1: change it."), "The seed is -1: change it."),
        (
            PermissionError(errno.EACCES, "Permission denied", "/a"),
            f"/a can't be used (Permission denied): {OTHERWISE}",
        ),
        (OSError(errno.ENOSPC, "No space left"), f"The disk can't be used (No space left): {OTHERWISE}"),
        (shutil.SameFileError("a is the same"), f"The disk can't be used (a is the same): {OTHERWISE}"),
    ],
)
def test_mistakes_and_refusals_are_one_sentence_and_code_2(capsys, error, said):
    assert exit_code(raiser(error), "another --to") == 2
    assert capsys.readouterr().err == f"Error: {said}\n"


def test_other_codes_are_the_commands_own_and_faults_and_interrupts_are_not_hidden(capsys):
    assert [exit_code(lambda code=code: code, "another --to") for code in (None, 0, 1, 130)] == [0, 0, 1, 130]
    assert capsys.readouterr().err == ""
    for error in (KeyError("ours"), KeyboardInterrupt(), SystemExit(0)):
        with pytest.raises(type(error)):
            exit_code(raiser(error), "another --to")


PRINTS = (
    "from pir_tf.commands import exit_code; import sys; sys.exit(exit_code(lambda: print('x' * {}), 'another --to'))"
)


@pytest.mark.parametrize(
    "words",
    [["-c", PRINTS.format(1)], ["-c", PRINTS.format(100_000)], ["-m", "pir_tf.experiments.run", "--help"]],
    ids=["little", "much", "help"],
)
def test_a_pipe_that_closes_ends_a_command_quietly_and_a_full_disk_in_a_sentence(words):
    program = [sys.executable, *words]
    read, write = os.pipe()
    os.close(read)
    closed = subprocess.run(program, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (closed.returncode, closed.stderr) == (141, "")
    with open("/dev/full", "w") as full:
        done = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    said = "Error: The disk can't be used (No space left on device): mend that, or choose another --"
    assert done.returncode == 2 and done.stderr.startswith(said) and done.stderr.count("\n") == 1


LASTS = """
import sys
from pir_tf.commands import lasting_output
with lasting_output():
    print("first", flush=True)
    sys.stdin.read()
    for _ in range(3):
        print("second", flush=True)
        print("third", file=sys.stderr)
open(sys.argv[1], "w").write("reached the end")
"""


def test_a_long_command_goes_on_when_nobody_reads_it_any_more(tmp_path):
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    with subprocess.Popen([sys.executable, "-c", LASTS, str(tmp_path / "end")], **pipes) as process:
        assert process.stdout.readline() == b"first\n"
        process.stdout.close()
        process.stderr.close()
        process.stdin.close()
        assert process.wait(timeout=300) == 0
    assert (tmp_path / "end").read_text() == "reached the end"


def test_other_failures_to_print_are_not_hidden(monkeypatch):
    full = mock.Mock(write=raiser(OSError(errno.ENOSPC, "No space left on device")))
    monkeypatch.setattr(sys, "stdout", full)
    with pytest.raises(OSError, match="No space"), lasting_output():
        print("x")


def test_paths_mean_what_the_user_means(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert [str(user_path(text)) for text in ("~/m", "~", "m/~x", ".")] == ["/home/me/m", "/home/me", "m/~x", "."]
    for text, said in (("", "path is empty"), ("~nobody-here/m", "begins with a home folder that isn't known")):
        with pytest.raises(InputError, match=said):
            user_path(text)
    parser = Parser(prog="x")
    parser.add_argument("--to", type=user_path)
    with pytest.raises(InputError, match="Argument --to: A path is empty.* folder: see x --help"):
        parser.parse_args(["--to", ""])


SETTINGS = """
import os, sys, warnings
from pir_tf.commands import exit_code
exit_code(lambda: None, "")
import matplotlib
from pir_tf.training.devices import import_quietly, require_channels_last
import_quietly()
import keras
require_channels_last()
assert (keras.config.image_data_format(), keras.config.floatx()) == ("channels_last", "float32")
assert keras.config.epsilon() == 1e-7 and keras.config.max_epochs() is None
warnings.warn("three of the files are left out")
keras.config.set_image_data_format("channels_first")
from pir_tf.gan.networks import build_discriminator
build_discriminator(2)
"""


@pytest.mark.slow
def test_settings_of_libraries_that_are_no_choice_here_are_fixed(tmp_path):
    settings = '{"floatx": "float64", "epsilon": 0.1, "backend": "jax", "image_data_format": "channels_first"}'
    (tmp_path / "keras.json").write_text(settings)
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "torch", "KERAS_MAX_EPOCHS": "1"}
    environment["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run(
        [sys.executable, "-c", SETTINGS], env=environment, capture_output=True, text=True, check=False
    )
    first, *_, last = done.stderr.strip().splitlines()
    assert first == "Warning: three of the files are left out"
    assert "tensorflow and channels_first, expected tensorflow and channels_last: change the file" in last


def test_every_option_that_is_a_path_is_read_as_the_user_means_it():
    sources = {path: path.read_text(encoding="utf-8") for path in Path(pir_tf.__file__).parent.rglob("*.py")}
    assert [path for path, text in sources.items() if "type=Path" in text] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "closed", [*(pytest.param(one, marks=pytest.mark.nightly) for one in (">&-", "2>&-")), ">&- 2>&-"]
)
def test_closed_streams_are_no_mistake(closed, tmp_path):
    """As a job that is begun without a place for what it says."""
    line = f"{sys.executable} -m pir_tf.cli run smoke --dry-run {closed}"
    assert subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True).returncode == 0
    line = f"{sys.executable} -m pir_tf.cli export nowhere --to x >&-"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: nowhere has no config.json")
