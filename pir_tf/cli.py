"""The command `pir-tf`: a subcommand's module is imported only when it is chosen."""

from __future__ import annotations

import sys

USAGE = """usage: pir-tf COMMAND [...]

Improve an image generator with people's reactions.

  run    one experiment, from data to report (the same as python -m pir_tf.experiments.run)

pir-tf COMMAND --help explains a command."""


def main(arguments: list[str] | None = None) -> int:
    """Runs a subcommand.

    Returns:
        Its exit code; 2 for an unknown one.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] == "run":
        from pir_tf.experiments.run import main as run

        return run(words[1:])
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    print(f"Error: command {words[0]!r} is unknown, expected run: see pir-tf --help.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
