"""`pir-tf loop`: rounds of images, people's answers and tuning, with the rating page open all the while, and a proof at the end.

A round is a run that goes on from the round before (A.3). All rounds but the last are "not measured": the next round's random
images show people what the last tuning did, and a proof costs answers, so it is asked for once. The command may be killed at
any moment and repeated: what is finished is skipped, and nobody is asked twice.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pir_tf.commands import Parser, end_with_parent, user_path
from pir_tf.config.checks import require_no_password
from pir_tf.errors import InputError, Unavailable
from pir_tf.experiments.loop_page import served
from pir_tf.experiments.run import LOOP
from pir_tf.experiments.study_command import add_server_options
from pir_tf.experiments.study_options import add_study_options, begin_study, settings_of
from pir_tf.people.extra import require_extra
from pir_tf.runs.directory import has_simulated_raters, read_json, write_json

DESCRIPTION = """Rounds of images, people's answers and tuning, with the rating page open all the while, and a proof at the end.

  pir-tf loop my-loop --people study.db --budget 1800
  pir-tf loop demo                     # all of it in minutes, offline, with simulated raters

It prints the raters' link and the owner's, and goes on by itself as answers come. LOOP/round-01 and so on are runs, and
LOOP/report.html is the report. Killed, the same command goes on. Options of a run (--gan.generator import:FILE,
--tuning.steps 600) may be given too, and hold for all rounds."""

SETTINGS, REPORT = "loop.json", "report.html"
POLL_SECONDS = 1.0
REST = 5
"""Times as long as a look at a large study takes, the loop looks away."""
BETTER = {"--estimator.output": "linear", "--estimator.pessimism": "1", "--tuning.pir-gradient-ratio": "1"}
"""What a loop's runs have unless their options say otherwise: few answers go far with it, and the images stay images. An
imported generator has no discriminator to read, and takes its preset's."""
OF_PAIRS = {"--estimator.pessimism": "0.25"}
"""Of a loop by pairs: a share of wins rises less with what people like than a rate of likes, beside as much noise, so a whole
standard deviation would take most of it away (measured in experiments/people/README.md)."""
NO_JUDGE = "--evaluation.no-judge"
"""Beside those: a second judge would keep a third of the answers from the estimator, and a loop's judges are its people."""
EXPLORE = "0.5"
"""Share of a later round's images that the estimator is unsure of; the others, random, tell what the round before did."""
DECISIVE = ("database", "study", "mode", "budget", "preset")
"""What a loop that was begun can't change."""


@dataclasses.dataclass
class Loop:
    """A loop's settings, kept in `loop.json`.

    Attributes:
        path: The loop's directory.
        database: File or URL of the study.
        study: The study's name.
        mode: Its mode.
        budget: Answers in all.
        rounds: Rounds, the last with the proof.
        learn: Answers to learn from in each round.
        proof: Answers of the proof.
        images: New images of each side in the proof.
        stop: `budget`, or `e-value` to end the proof when the evidence is enough.
        preset: Preset of the runs.
        options: Further words of their command line.
        port: Port of the page, the same after a restart.
    """

    path: Path
    database: str
    study: str
    mode: str
    budget: int
    rounds: int
    learn: int
    proof: int
    images: int
    stop: str
    preset: str
    options: list[str]
    port: int = 0

    def save(self) -> None:
        """Writes `loop.json`."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "path"}
        write_json(self.path / SETTINGS, values)

    def run_path(self, number: int) -> Path:
        """The directory of a round's run."""
        return self.path / f"round-{number:02d}"

    def command(self, number: int) -> list[str]:
        """The words of a round's run."""
        from pir_tf.people.study import SHOWN

        source, last = f"people:{self.database}#{self.study}", number == self.rounds
        words = [self.preset, "--run-dir", str(self.run_path(number)), "--interactions.source", source]
        words += ["--interactions.answers", str(self.learn)]
        words += ["--interactions.images", str(max(20, min(1000, self.learn * SHOWN[self.mode])))]
        words += ["--evaluation.source", source if last else "none", "--evaluation.answers", str(self.proof)]
        words += ["--evaluation.images", str(self.images)]
        own = any(word.startswith(("--gan.generator", "--estimator.output")) for word in self.options)
        better = {} if own else {**BETTER, **(OF_PAIRS if self.mode == "pair" else {})}
        given = {word.partition("=")[0].replace("_", "-") for word in self.options}
        if "--tuning.pir-weight" in given:  # which stands for the ratio
            given.add("--tuning.pir-gradient-ratio")
        for option, value in {"--evaluation.against": "start", **better}.items():
            if option not in given:
                words += [option, value]
        if not own and not any(word.startswith(("--evaluation.judge", "--tuning.stop")) for word in self.options):
            words.append(NO_JUDGE)
        if number > 1 and not own:
            words += ["--interactions.explore", EXPLORE]
        if number > 1:
            words += ["--first-round", str(self.run_path(number - 1))]
        return [*words, *self.options]


def parse(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options of the loop, and the words for its runs."""
    parser = Parser(prog="pir-tf loop", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loop", type=user_path, metavar="LOOP", help="directory of the loop, made when absent")
    parser.add_argument(
        "--people", metavar="DATABASE", help="the study's database, file or postgresql:// URL (default: LOOP/study.db)"
    )
    parser.add_argument("--study", default="", metavar="NAME", help="the study's name (default: the loop's)")
    parser.add_argument("--budget", type=int, metavar="N", help="answers in all (default: 1800)")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="rounds of learning; the last ends with the proof (default: 2)"
    )
    text = "end the proof at its size, or when the evidence is enough (default: budget)"
    parser.add_argument("--stop", choices=("budget", "e-value"), help=text)
    parser.add_argument("--preset", choices=("smoke", "laptop", "paper"), help="of the runs (default: laptop)")
    add_study_options(parser)
    add_server_options(parser)
    given, rest = parser.parse_known_args(words)
    if wrong := [word for word in rest if word.startswith("-") and "." not in word.partition("=")[0]]:
        raise InputError(
            f"Option {wrong[0]} is unknown, expected one of pir-tf loop or of a run, like --tuning.steps: see --help."
        )
    return given, rest


def adopt(given: argparse.Namespace, options: list[str]) -> Loop:
    """The loop in this directory with what the command line changes, or a new one.

    Raises:
        InputError: The directory holds other things, or a loop that was begun otherwise.
    """
    require_extra()
    require_no_password("--people", given.people or "")
    loop = _go_on(given, options) if (given.loop / SETTINGS).exists() else _begin(given, options)
    loop.save()
    return loop


def _begin(given: argparse.Namespace, options: list[str]) -> Loop:
    """A new loop, in a directory of its own; its plan is printed."""
    from pir_tf.statistics.planning import ANSWERS_PER_IMAGE, plan

    path: Path = given.loop
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} holds other things, expected a loop's directory or none: name another.")
    budget = 1800 if given.budget is None else given.budget
    rounds = 2 if given.rounds is None else given.rounds
    database = _whole(given.people or str(path / "study.db"))
    study = given.study or path.name
    settings = settings_of(given, database, study)
    mode = settings.get("mode", "like")
    _require_rounds(rounds)
    _require_alpha(given.stop or "budget", options)
    # A bet is on an image's first answer alone.
    each = 1.25 if given.stop == "e-value" else ANSWERS_PER_IMAGE[mode]
    limit = {name: settings[name] for name in ("answers_per_rater", "repeats") if name in settings}
    planned = plan(budget, mode, answers_per_image=each, **limit)
    if planned.learn < rounds * 10:
        raise InputError(
            f"--budget {budget} leaves {planned.learn} answers to learn from in {rounds} rounds, expected more."
        )
    path.mkdir(parents=True, exist_ok=True)
    print("\n".join(planned.sentences()), flush=True)
    return Loop(
        path, database, study, mode, budget, rounds, planned.learn // rounds, planned.proof,
        max(2, planned.images // 2), given.stop or "budget", given.preset or "laptop", options,
    )  # fmt: skip


def _go_on(given: argparse.Namespace, options: list[str]) -> Loop:
    """The loop in this directory, with what may change."""
    path: Path = given.loop
    loop = Loop(path=path, **read_json(path / SETTINGS))
    if "://" not in loop.database and not Path(loop.database).exists() and (path / Path(loop.database).name).exists():
        loop.database = str((path / Path(loop.database).name).absolute())  # the directory was moved
    asked = {name: getattr(given, "people" if name == "database" else name) for name in DECISIVE}
    for name, now in asked.items():
        there = getattr(loop, name)
        if name == "database" and now:
            now = _whole(now)
        if now not in (None, "") and now != there:
            raise InputError(
                f"{path} is a loop with {name} {there!r}, not {now!r}: leave it out, or begin another loop."
            )
    if given.rounds is not None:
        _require_rounds(given.rounds)
        if given.rounds > loop.rounds and (path / REPORT).exists():
            raise InputError(
                f"--rounds {given.rounds}: the loop in {path} has ended with its proof after {loop.rounds}, and its study "
                "takes no more answers: leave the option out, or begin another loop."
            )
        _require_open(loop, given.rounds)
    _require_alpha(given.stop or loop.stop, options or loop.options)
    loop.rounds, loop.stop, loop.options = given.rounds or loop.rounds, given.stop or loop.stop, options or loop.options
    return loop


def _whole(database: str) -> str:
    """A database as any working directory finds it."""
    return database if "://" in database else os.path.abspath(os.path.expanduser(database))


def run(loop: Loop, given: argparse.Namespace) -> int:
    """Goes on with a loop until its report is written."""
    from pir_tf.people.store import Store

    store = Store(loop.database, create=True)
    try:
        with store.writing() as connection:
            given.mode = loop.mode
            begin_study(connection, given, loop.study)
        with served(loop, given, store) as (look, links):
            for number in range(1, loop.rounds + 1):
                _round(loop, store, number, look, links)
        return _finish(loop, store)
    finally:
        store.close()


def _round(loop: Loop, store: Any, number: int, look: Callable[[], None], links: str) -> None:
    """One round: its run, again and again, with people's answers in between."""
    path = loop.run_path(number)
    while not (path / "report" / "done.json").exists():
        print(f"\n== Round {number} of {loop.rounds}", flush=True)
        # With a cache of its own, as each stop for people would render again.
        shared = {"PIR_TF_CACHE": str(loop.path / "cache"), **os.environ, LOOP: str(loop.path)}
        code = _call([sys.executable, "-m", "pir_tf.experiments.run", *loop.command(number)], shared)
        if code:
            raise InputError(f"Round {number} stopped, as said above: mend that, and give the same command again.")
        if not (path / "report" / "done.json").exists():
            print(links, flush=True)  # those of the start are far above by now
            wait_for_answers(loop, store, number, look)


def wait_for_answers(loop: Loop, store: Any, number: int, look: Callable[[], None] = lambda: None) -> None:
    """Waits until people have answered what this round asks, or the owner has closed it; a database that is away, too.

    Args:
        loop, store, number: The loop, its database and the round.
        look: Opens the rating page again where it has ended.

    Raises:
        InputError: The study takes no more answers, by its end or its last day.
    """
    said: int | str = -1
    while True:
        begun = time.monotonic()
        try:
            given, wanted, pool = _asked(loop, store, number)
        except Unavailable as error:
            if said != str(error):
                print(f"The study's database can't be reached ({error}); the loop waits for it.", flush=True)
            said = str(error)
        else:
            if not pool:
                return
            look()  # without the database the page couldn't be opened
            if isinstance(said, str) or given // 50 != said // 50 or said < 0:
                print(f"{given:,} of {wanted:,} answers ({pool}, round {number})", flush=True)
                said = given
        time.sleep(max(POLL_SECONDS, REST * (time.monotonic() - begun)))


def _asked(loop: Loop, store: Any, number: int) -> tuple[int, int, str]:
    """Answers that are there and that are wanted in this round, and of which pool; none once nothing more is asked."""
    from pir_tf.people import counted, owner, pools
    from pir_tf.people.study import Study
    from pir_tf.statistics.closing import EARLY

    with store.snapshot() as connection:
        row = pools.require(connection, loop.study)
        key, state = row["study"], pools.state(connection, row["study"])
        own = [pool for pool in state.open if pool.round == number]
        if not own:
            return 0, 0, ""
        if state.ended or Study.from_json(row["settings"]).over(time.time()):
            raise InputError(
                f"The study {loop.study!r} has ended, while round {number} waits for answers: close what is asked with "
                f"`pir-tf people close {loop.database}`, and the same command goes on with the answers that are there."
            )
        slots = counted.slots(connection, key, number, [pool.pool for pool in own])
        images = counted.items(connection, key, number, [own[0].pool])
    if own[0].pool == "proof" and loop.stop == "e-value" and owner.e_value(slots, images) >= owner.EVIDENCE:
        with store.writing() as connection:
            pools.close_pools(connection, key, EARLY)
        return 0, 0, ""
    return sum(slot.judged for slot in slots), sum(pool.wanted for pool in own), own[0].pool


def _finish(loop: Loop, store: Any) -> int:
    """The end of the study and its report, with the estimator beside the people where a run has measured it."""
    from pir_tf.people import pools
    from pir_tf.people.summary import read_summary
    from pir_tf.report.people import write_people_report

    with store.writing() as connection:
        key = pools.require(connection, loop.study)["study"]
        if not pools.state(connection, key).ended:
            pools.control(connection, key, "end", why="the loop's last round is done")
    results = read_json(loop.run_path(loop.rounds) / "evaluation" / "results.json")
    found = read_summary(store, loop.study, alpha=results["alpha"])
    found["simulated"] = has_simulated_raters(loop.path)  # wherever the database is
    if found["proof"]:  # the run has looked at what tuning cost in diversity, too
        found["proof"]["verdict"] = results["verdict"]
    for one in found["rounds"]:
        quality = loop.run_path(one["round"]) / "estimator" / "quality.json"
        if quality.exists():
            one["estimator"] = (read_json(quality).get("at_temperature") or {}).get("spearman")
    report = write_people_report(found, loop.path / REPORT)
    print(f"\n{found['proof']['sentence'] if found['proof'] else 'No proof was asked for.'}\nReport: {report}")
    return 0


def _call(words: list[str], environment: Mapping[str, str]) -> int:
    """A child's exit code; it ends with this process, and gets its Ctrl-C."""
    child = subprocess.Popen(words, env=environment, preexec_fn=end_with_parent())
    try:
        return child.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(30)
        raise
    finally:
        if child.poll() is None:
            child.terminate()


def _require_open(loop: Loop, rounds: int) -> None:
    """Refuses fewer rounds than were begun, and an end with one that was done without a proof."""
    begun = max((number for number in range(1, loop.rounds + 1) if loop.run_path(number).exists()), default=0)
    results = loop.run_path(rounds) / "evaluation" / "results.json"
    unproven = results.exists() and read_json(results).get("source") == "none"
    if rounds < begun or unproven:
        why = f"round {rounds} was done without the proof" if unproven else f"round {begun} was begun"
        least = max(begun, rounds + unproven)
        raise InputError(
            f"--rounds is {rounds}, expected {least} or more, as {why}: leave the option out, or give more."
        )


def _require_alpha(stop: str, options: list[str]) -> None:
    """Refuses a proof that may end at an evidence which isn't its own threshold's."""
    from pir_tf.people.owner import EVIDENCE

    given = " ".join(options).replace("=", " ").split()
    named = [given[i + 1] for i, word in enumerate(given[:-1]) if word == "--evaluation.alpha"]
    try:
        other = bool(named) and float(named[-1]) != 2 / EVIDENCE
    except ValueError:
        other = True
    if stop == "e-value" and other:
        raise InputError(
            f"--evaluation.alpha is {named[-1]} beside --stop e-value, which ends at the evidence that {2 / EVIDENCE:g} needs, "
            "expected that: leave it out, or use --stop budget."
        )


def _require_rounds(rounds: int) -> None:
    if rounds < 1:
        raise InputError(f"--rounds is {rounds}, expected 1 or more.")
