"""`python -m pir_tf.paper.presets`: the table of fields in which `laptop` departs from `paper`, for the README."""

from __future__ import annotations

from pir_tf.config import flatten
from pir_tf.presets import laptop, paper


def differences() -> list[tuple[str, str, str]]:
    """(field, value in `paper`, value in `laptop`) of every field that differs but the preset's own name."""
    there, here = flatten(paper()), flatten(laptop())
    return [
        (name, str(there[name]), str(here[name])) for name in there if there[name] != here[name] and name != "preset"
    ]


def table() -> str:
    """The differences as a Markdown table."""
    rows = [f"| `{name}` | {there} | {here} |" for name, there, here in differences()]
    return "\n".join(["| field | `paper` | `laptop` |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(table())
