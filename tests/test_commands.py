"""What the commands share: exit codes, and what is said with them."""

import errno
import shutil

import pytest

from pir_tf.commands import exit_code
from pir_tf.errors import InputError


def raiser(error):
    def command():
        raise error

    return command


def test_a_command_that_says_nothing_is_done_and_others_have_their_own_code(capsys):
    assert exit_code(lambda: None, "another --to") == 0
    assert [exit_code(lambda code=code: code, "another --to") for code in (0, 1, 130)] == [0, 1, 130]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("The seed is -1: change it."), "The seed is -1: change it."),
        (
            PermissionError(errno.EACCES, "Permission denied", "/a"),
            "/a can't be used (Permission denied): mend that, or choose another --to.",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "The disk can't be used (No space left on device): mend that, or choose another --to.",
        ),
        (
            shutil.SameFileError("a and b are the same file"),
            "The disk can't be used (a and b are the same file): mend that, or choose another --to.",
        ),
    ],
)
def test_mistakes_and_refusals_are_one_sentence_and_code_2(capsys, error, said):
    assert exit_code(raiser(error), "another --to") == 2
    assert capsys.readouterr().err == f"Error: {said}\n"


def test_faults_and_interrupts_are_not_hidden():
    for error in (KeyError("ours"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            exit_code(raiser(error), "another --to")
