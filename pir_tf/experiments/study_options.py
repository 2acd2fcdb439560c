"""A study's settings on a command line: what its options and its file of settings state, and what a study there already has."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from pir_tf.commands import user_path
from pir_tf.errors import InputError

OPTIONS = ("mode", "question", "instructions", "consent", "words", "answers_per_rater", "ends", "completion_code")
"""Settings that have an option of their own; --settings has all of them."""


def add_mode(sub: argparse.ArgumentParser) -> None:
    """The option of a study's mode."""
    from pir_tf.statistics.modes import MODES

    text = "one image, yes or no; one from 1 to 5; two, which is better; nine, tap (default: like)"
    sub.add_argument("--mode", choices=MODES, default=None, help=text)


def add_study_options(sub: argparse.ArgumentParser) -> None:
    """Options of a study's settings."""
    add_mode(sub)
    sub.add_argument(
        "--settings", type=user_path, metavar="FILE", help="all of a study's settings in TOML; options win over it"
    )
    sub.add_argument(
        "--words", type=user_path, metavar="FILE", help="the page's own words, as `pir-tf people words` prints them"
    )
    for name, kind, text in (
        ("question", str, "what is asked of each image"),
        ("instructions", str, "what raters read first"),
        ("consent", str, "what raters agree to first"),
        ("answers-per-rater", int, "after so many a rater is done (default: 200)"),
        ("ends", str, "last day, YYYY-MM-DD"),
        ("completion-code", str, "shown to raters who are done, for a panel"),
    ):
        sub.add_argument(f"--{name}", type=kind, default=None, help=text)


def stated(given: argparse.Namespace, name: str = "") -> dict[str, Any]:
    """The settings that the options and the files they name state, by name; those left out are not in it."""
    from pir_tf.people.study import read_settings
    from pir_tf.people.words import read_words

    found = read_settings(given.settings) if given.settings else {}
    found |= {key: getattr(given, key) for key in OPTIONS if getattr(given, key) is not None}
    if given.words:
        found["words"] = read_words(given.words)
    return found | ({"name": name} if name else {})


def begin_study(connection: Any, given: argparse.Namespace, name: str = "") -> Any:
    """The row of the study that the options mean, begun if it isn't there; what they leave out stays as it is.

    Raises:
        InputError: It was begun with another value of what they state.
    """
    from pir_tf.people import pools
    from pir_tf.people.study import Study

    settings = stated(given, name)
    return pools.begin(connection, Study(**settings), stated=settings)


def settings_of(given: argparse.Namespace, database: str, name: str) -> dict[str, Any]:
    """What the options state, over what a study of this name in a database has that isn't usual; by the settings' names.

    Raises:
        InputError: The options state what no study can have.
    """
    from pir_tf.people.study import Study

    settings, usual = stated(given), dataclasses.asdict(Study())
    Study(**{**settings, "name": name})
    held = _held(database, name)
    return {key: value for key, value in held.items() if value != usual[key]} | settings


def _held(database: str, name: str) -> dict[str, Any]:
    """The settings of a study that is there, nothing of one that isn't."""
    from pir_tf.people import pools
    from pir_tf.people.store import Store
    from pir_tf.people.study import Study

    if "://" not in database and not Path(database).exists():
        return {}
    try:
        store = Store(database)
    except InputError:  # said where it is to be begun
        return {}
    try:
        with store.reading() as connection:
            row = pools.find(connection, name)
        return dataclasses.asdict(Study.from_json(row["settings"])) if row else {}
    finally:
        store.close()
