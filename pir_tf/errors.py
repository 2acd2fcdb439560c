"""The one exception that stands for a user's mistake.

Everything that a user can get wrong (a field, a file, a count) raises `InputError` with one sentence that names what was
received, what was expected and what to do. The command line prints that sentence and exits with code 2; any other
exception is a fault of ours and keeps its traceback.
"""


class InputError(ValueError):
    """A user's mistake, said in one sentence: what was received, what was expected, what to do."""
