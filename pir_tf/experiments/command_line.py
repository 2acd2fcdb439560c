"""The command line of one experiment: every field of the config as an option, mistakes in one sentence.

Nothing heavy is imported here, so `--help` answers at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import math
import os
import re
import shlex
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar
from unittest import mock

import tyro

from pir_tf.commands import user_path
from pir_tf.config import PRESETS, ExperimentConfig, changed
from pir_tf.errors import InputError
from pir_tf.presets import LONG_TUNING, PESSIMISM, by_papers_method, preset
from pir_tf.runs.directory import STAGES, read_json

DESCRIPTION = """Improve an image generator with people's reactions: data, ACGAN, interactions, PIR estimator, tuning, proof.
`laptop`, the default, takes minutes on two CPU cores, `smoke` under a minute; `paper` has every value of the paper.
`laptop` has a linear estimator in place of the paper's, which --estimator.output bins takes.

  python -m pir_tf.experiments.run laptop --interactions.objective color:red --run-dir runs/red

Each option changes one field of the preset; "Source" names the section of the paper, D1 to D21 the README's deviations.

Where the environment variable PIR_TF_CACHE names a directory, runs share image sets, VGG16's activity and features there."""

Parsed = TypeVar("Parsed")

OF_PAPERS_ESTIMATOR = tuple(
    f"estimator.{name}"
    for name in (
        *("bins", "bin_range", "bin_loss", "scalar_start", "temperature", "trainable"),
        *("steps", "batch_size", "learning_rate", "checkpoint_every", "checkpoint_minutes"),
    )
)
"""Options that mean nothing to a linear estimator: who gives one without naming an output means the paper's."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What to run and where."""

    experiment: Annotated[ExperimentConfig, tyro.conf.arg(name="")]
    run_dir: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Directory of the run, made when absent; the same one again resumes it. Default: runs/<time>-<objective>-<preset>."""
    stages: Annotated[tuple[str, ...], tyro.conf.arg(metavar="STAGE ...")] = STAGES
    """Stages to run, of gan, interactions, estimator, tuning, evaluation, report; finished ones are skipped."""
    dry_run: bool = False
    """Print the whole config, counts, steps and an estimate of time and memory, and run nothing."""
    notes: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """What of the preset doesn't fit the other options and is another here, a sentence each."""

    def __post_init__(self) -> None:
        unknown = [stage for stage in self.stages if stage not in STAGES]
        if unknown or not self.stages:
            received = ", ".join(unknown) or "nothing"
            raise InputError(f"--stages received {received}, expected some of {', '.join(STAGES)}: name those to run.")


def parse(arguments: list[str]) -> Options:
    """The options that a command line means.

    Values of the preset that would be refused beside a number of steps or a folder of few images, and that the command line
    doesn't set, are changed to fit, and `notes` says so.

    Raises:
        InputError: anything in it that can't be used, in one sentence.
        SystemExit: `--help` was answered (code 0).
    """
    words = list(arguments)
    name = words.pop(0) if words and not words[0].startswith("-") else "laptop"
    if name not in PRESETS:
        raise InputError(f"Preset {name!r} is unknown, expected one of {', '.join(PRESETS)}: name it first, or none.")
    words = [_with_home(re.sub(r"^--(distribute|precision)(?==|$)", r"--compute.\1", word)) for word in words]
    given: dict[str, str | None] = {}
    for word, following in itertools.zip_longest(words, words[1:]):
        if found := re.fullmatch(r"--([\w.-]+)(=.*)?", word, re.DOTALL):
            given[found[1].replace("-", "_")] = found[2][1:] if found[2] else following
    if "preset" in given:
        raise InputError("--preset was given as an option, expected as the first word: for example `run smoke`.")
    if "" in (given.get("run_dir"), given.get("first_round")):
        user_path("")  # refuses it
    start, said = _start(name, given)
    config, notes = _changed(start, given, _fitting_words(start, given))
    prog = "python -m pir_tf.experiments.run [smoke|laptop|paper]"
    options = parsed(Options, words, default=Options(config), prog=prog, description=DESCRIPTION)
    config, more = _changed(options.experiment, given, _fitting_images(options.experiment))
    config, doubt = _changed(config, given, _fitting_doubt(config, options.run_dir))
    if {"tuning.pir_weight", "tuning.pir_gradient_ratio"} <= {*given} and config.tuning.pir_gradient_ratio:
        raise InputError(
            f"--tuning.pir-weight {given['tuning.pir_weight']} and --tuning.pir-gradient-ratio were both given, expected one: "
            "the ratio sets the weight itself."
        )
    if config.gan.generator != "train":
        notes = [note for note in notes if not note.startswith("gan.")]  # of a training that there won't be
    return dataclasses.replace(options, experiment=config, notes=(*said, *notes, *more, *doubt, *_idle(config, given)))


def _idle(config: ExperimentConfig, given: Mapping[str, str | None]) -> list[str]:
    """A sentence for each option that is given and changes nothing beside the others."""
    imports, people = config.gan.generator.startswith("import:"), config.interactions.source.startswith("people:")
    needed = {
        "gan.steps": ("--gan.generator train", config.gan.generator == "train"),
        "gan.import_": ("--gan.generator import:FILE", imports),
        "tuning.anchor_weight": ("--gan.generator import:FILE", imports),
        "tuning.kl_weight": ("--tuning.kind shift or residual", config.tuning.kind != "weights"),
        "interactions.explore": ("--interactions.source people:DATABASE", people),
    }
    return [
        f"{name} changes nothing without {option}."
        for name in given
        for start, (option, there) in needed.items()
        if name.startswith(start) and not there
    ]


def _start(name: str, given: Mapping[str, str | None]) -> tuple[ExperimentConfig, tuple[str, ...]]:
    """The preset, or its paper's method where the options name a part of that or a generator without a discriminator.

    Returns:
        The config from which the options start, and a sentence where it isn't the preset without being asked for by name.
    """
    start, papers, output = preset(name), by_papers_method(name), given.get("estimator.output")
    if start == papers:
        return start, ()
    imports = (given.get("gan.generator") or "").startswith("import:")
    own = [option for option in OF_PAPERS_ESTIMATOR if option in given]
    if given.get("estimator.backbone") == "compact":
        own.append("estimator.backbone compact")
    if imports:
        own.append("an imported generator, which has no discriminator to read")
    if output is None and own:
        return papers, (f"The estimator is the paper's, bins of its own training, to fit {own[-1]}.",)
    if output not in (None, "linear"):
        return papers, ()
    if imports:
        return changed(papers, estimator={"output": "linear"}), ()
    if "tuning.pir_weight" in given and "tuning.pir_gradient_ratio" not in given:
        return changed(start, tuning={"pir_gradient_ratio": 0.0}), ()
    return start, ()


def _changed(
    config: ExperimentConfig, given: Mapping[str, str | None], values: Mapping[str, tuple[Any, str]]
) -> tuple[ExperimentConfig, list[str]]:
    """The config with other values, by their dotted names, where the command line gives none; and a sentence for each."""
    notes = []
    for name, (value, why) in values.items():
        section, field = name.split(".")
        fields = getattr(config, section)
        if name not in given and value != getattr(fields, field):
            notes.append(f"{name} is {value} in place of {getattr(fields, field)}, to fit {why}.")
            config = changed(config, **{section: {field: value}})
    return config, notes


def _fitting_words(config: ExperimentConfig, given: Mapping[str, str | None]) -> dict[str, tuple[float, str]]:
    """Values that fit the numbers of steps and the bins that the command line gives, each with what it fits."""
    fitting: dict[str, tuple[float, str]] = {}
    if given.get("estimator.bin_range") == "data":
        fitting["estimator.temperature"] = 1.0, "estimator.bin_range data"
    for section, fields in (("gan", config.gan), ("tuning", config.tuning)):
        steps = given.get(f"{section}.steps") or ""
        if steps.isdecimal() and len(steps) < 20 and int(steps):
            why = f"{section}.steps"
            fitting[f"{section}.log_every"] = math.gcd(int(steps), fields.log_every), why
            if section == "gan" and config.gan.decay_steps > int(steps):
                fitting["gan.decay_steps"] = config.gan.decay_steps * int(steps) // config.gan.steps, why
    return fitting


def _fitting_images(config: ExperimentConfig) -> dict[str, tuple[int, str]]:
    """Batches of at most all images of a folder. Files that are no images are found when they are read."""
    scheme, _, path = config.data.source.partition(":")
    if scheme != "folder":
        return {}
    files = [file for file in Path(path).glob("[!.]*/[!.]*") if file.is_file()]
    names = {unicodedata.normalize("NFC", name) for name in config.data.classes}
    count = sum(not names or unicodedata.normalize("NFC", file.parent.name) in names for file in files)
    sizes = {"gan.batch_size": config.gan.batch_size, "tuning.batch_size": config.tuning.batch_size}
    return {name: (count, f"the {count} images") for name, size in sizes.items() if 0 < count < size}


def _fitting_doubt(config: ExperimentConfig, run_dir: Path | None) -> dict[str, tuple[float, str]]:
    """A linear estimator's pessimism in a long tuning by simulated answers (a loop with people sets it); a run keeps its own."""
    if config.estimator.output != "linear" or config.interactions.source != "simulated":
        return {}
    if run_dir and (there := run_dir / "config.json").is_file():
        return {
            "estimator.pessimism": (read_json(there)["config"].get("estimator.pessimism", 0.0), "the run that is there")
        }
    steps = config.tuning.steps
    return {"estimator.pessimism": (PESSIMISM, f"tuning.steps {steps:,}")} if steps > LONG_TUNING else {}


def _with_home(word: str) -> str:
    """The word with `~` as the home folder behind `=` and `csv:` too, where the shell leaves it."""
    found = re.fullmatch(r"((?:--[\w.-]+=)?(?:(?:folder|csv|file|import|hub|people):)?)(~.*)", word, re.DOTALL)
    return f"{found[1]}{user_path(found[2])}" if found else word


def parsed(kind: type[Parsed], words: list[str], *, prog: str, **more: Any) -> Parsed:
    """The options of a dataclass, whose fields' strings are their help, that a command line means; `more` is the parser's.

    Raises:
        InputError: anything in it that can't be used, in one sentence.
        SystemExit: `--help` was answered (code 0).
    """
    # Wide lines for errors, so that each sentence comes whole.
    wide = {} if {"-h", "--help"} & {*words} else {"COLUMNS": "10000"}
    said = io.StringIO()
    try:
        with mock.patch.dict(os.environ, wide), contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=words, prog=prog, **more)
    except SystemExit as end:
        if not end.code:
            raise
        raise InputError(_sentence(said.getvalue())) from None


def public_command(arguments: list[str]) -> str:
    """The command as it is published: without the run's directory, files and folders by their base names.

    A TF-Hub handle that is an address stays whole, as in `config.json`.
    """
    named = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        option, equals, path = word.rpartition("=") if word.startswith("--first") else ("", "", word)
        if re.fullmatch(r"--first[-_]round", option or before):
            path = os.path.basename(os.path.abspath(path))
        named.append(
            option + equals + re.sub(r"\b(folder|file|csv|(?:hub|people)(?!:.*://)|import):.*/(?=[^/])", r"\1:", path)
        )
    return resume_command(named, None)


def resume_command(arguments: list[str], path: Path | None) -> str:
    """The command that goes on with the run in `path`, whatever ended it; for None the command alone."""
    follows = [False, *(bool(re.fullmatch(r"--run[-_]dir", word)) for word in arguments)]
    words = [
        w for w, value in zip(arguments, follows, strict=False) if not value and not re.match(r"--run[-_]dir(=|$)", w)
    ]
    return shlex.join(["python", "-m", "pir_tf.experiments.run", *words, *(["--run-dir", str(path)] if path else [])])


def _sentence(boxed: str) -> str:
    """The one sentence in the parser's framed message, with the option that was probably meant."""
    # A title, then the message; with a frame of box characters where the terminal has them. Options begin with two hyphens.
    plain = re.sub(r"\x1b\[[0-9;]*m", "", boxed)  # a terminal gets colours
    lines = [line.strip("│ ") for line in plain.splitlines()]
    lines = [line for line in lines if line.strip("─╭╮╰╯- ")][1:]
    if not lines:
        return "The command line can't be read: see --help."
    message = re.sub(r"^Error parsing (?!--)[\w.]+: ", "", lines[0])
    message = re.sub(r"^Error parsing (--\S+): ", r"\1: ", message)
    meant = next((lines[i + 1] for i, line in enumerate(lines[:-1]) if line.startswith("Perhaps you meant")), None)
    if meant:
        return f"{message}; perhaps {meant.split()[0]} was meant: see --help for every option."
    return message if "change it with" in message or "name those" in message else f"{message.rstrip('.')}: see --help."
