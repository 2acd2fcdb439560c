"""The command `pir-tf`: every subcommand's module is there, imported only when it is chosen, and mistakes are one sentence."""

import importlib.util
import subprocess
import sys

import pytest

from pir_tf import cli


def test_help_lists_every_command(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name, (_, said) in cli.COMMANDS.items():
        assert f"  {name} " in text and said in text


def test_no_command_is_a_mistake_that_is_explained(capsys):
    assert cli.main([]) == 2
    assert "usage: pir-tf COMMAND" in capsys.readouterr().out


def test_an_unknown_command_is_one_sentence(capsys):
    assert cli.main(["tune"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: command 'tune' is unknown, expected run, sweep, ") and said.count("\n") == 1


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_its_module(name):
    assert importlib.util.find_spec(cli.COMMANDS[name][0])


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_answers_help(name, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])
    assert end.value.code == 0
    assert "usage" in capsys.readouterr().out.lower()


def test_a_command_gets_the_words_after_it_and_gives_its_exit_code(capsys):
    assert cli.main(["sweep", "colours"]) == 2
    assert "'colours'" in capsys.readouterr().err


def test_only_the_chosen_module_is_imported():
    program = (
        "import sys\nfrom pir_tf import cli\ncli.main(['--help'])\n"
        "sys.exit(str([name for name in sys.modules if name.startswith('pir_tf.experiments.')]) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"
