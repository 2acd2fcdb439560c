"""The command `pir-tf loop`, and `pir-tf loop demo`."""

from __future__ import annotations

import sys

from pir_tf.commands import exit_code
from pir_tf.experiments import demo, loop


def main(arguments: list[str] | None = None) -> int:
    """Runs `pir-tf loop`; 0 when the report is there, 2 for a user's mistake, 130 after Ctrl-C."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if words[:1] == ["demo"]:
            return exit_code(lambda: demo.main(words[1:]), "another place")
        return exit_code(lambda: _run(words), "another place")
    except KeyboardInterrupt:
        said = "Interrupted: answers, finished stages and checkpoints are kept; the same command goes on."
        print(f"\n{said}", file=sys.stderr)
        return 130


def _run(words: list[str]) -> int:
    given, options = loop.parse(words)
    return loop.run(loop.adopt(given, options), given)


if __name__ == "__main__":
    sys.exit(main())
