"""`pir-tf loop demo`: the whole loop offline in minutes, with simulated raters over real HTTP.

They like blue images, each with a leniency of their own, by the toss of a coin; one answers without looking and one far too
fast. They stand for people in nothing but the way their answers come in: the loop doesn't know them.
"""

from __future__ import annotations

import argparse
import math
import threading
import time
from pathlib import Path

import numpy as np

from pir_tf.commands import Parser, user_path
from pir_tf.errors import InputError
from pir_tf.experiments import loop
from pir_tf.images import to_float
from pir_tf.objectives import colors
from pir_tf.people.simulated_raters import SimulatedRater
from pir_tf.runs.directory import SAID_OF_THEM, SIMULATED_RATERS
from pir_tf.statistics.effects import cohens_d
from pir_tf.statistics.modes import MODES

RATERS = 20
BUDGET = 1000
QUICK = {"--tuning.steps": "45", "--tuning.learning-rate": "4e-5", "--data.count": "1000"}
"""What the runs have where no budget is given, so that all of it takes minutes: fewer steps, each four times as long, and no
fewer real images than those steps see."""
DESCRIPTION = """The whole loop in minutes, without people or a network: 20 simulated raters who like blue answer over HTTP in two
rounds, and 20 others in the proof. FOLDER/report.html is what an owner would see."""


def main(words: list[str]) -> int:
    """Runs the demonstration; 0 when its report is there."""
    parser = Parser(
        prog="pir-tf loop demo", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", nargs="?", type=user_path, default=Path("loop-demo"), metavar="FOLDER", help="default: loop-demo"
    )
    parser.add_argument("--mode", choices=MODES, default="like", help="default: like")
    few = f"answers in all (default: {BUDGET}, and {' '.join(map(' '.join, QUICK.items()))}, for minutes)"
    parser.add_argument("--budget", type=int, metavar="N", help=few)
    parser.add_argument("--seed", type=int, default=0, help="of the raters and the runs (default: 0)")
    parser.add_argument(
        "--honest", action="store_true", help="without the rater who doesn't look and the one who is too fast"
    )
    given, options = parser.parse_known_args(words)
    if (given.folder / loop.SETTINGS).exists() and not (given.folder / SIMULATED_RATERS).exists():
        raise InputError(
            f"{given.folder} is a loop with people, expected a folder for the demonstration: name another."
        )
    parsed, rest = loop.parse(words_of(given, options))
    begun = loop.adopt(parsed, [*rest, *([f"--seed={given.seed}"] if given.seed else [])])
    (given.folder / SIMULATED_RATERS).write_text(SAID_OF_THEM)
    raters = threading.Thread(target=_rate, args=(begun, given.seed, given.honest), daemon=True)
    raters.start()
    code = loop.run(begun, parsed)
    _say_truth(begun)
    return code


def taste(image: np.ndarray) -> float:
    """How likely a simulated rater is to like an image: its blue PIR, with differences that people would see."""
    blue = float(colors.pir(to_float(image[None]), ("blue",))[0])
    return 1 / (1 + math.exp(-8 * (blue - 0.5)))


def words_of(given: argparse.Namespace, options: list[str]) -> list[str]:
    """The words of the loop that is demonstrated."""
    quick = given.budget is None and not any(word.startswith(("--tuning.", "--data.")) for word in options)
    fewer = [f"{name}={value}" for name, value in QUICK.items()] if quick else []
    budget = BUDGET if given.budget is None else given.budget
    settings = ["--mode", given.mode, "--budget", str(budget), "--answers-per-rater", "1000"]
    return [str(given.folder), *settings, *options, *fewer]


def _rate(begun: loop.Loop, seed: int, honest: bool) -> None:
    """Twenty raters who come when the page is up, and twenty others of the same population for the proof."""
    from pir_tf.people import pools
    from pir_tf.people.store import Store

    while not begun.port:
        time.sleep(0.2)
    store = Store(begun.database)
    while True:
        with store.reading() as connection:
            row = pools.find(connection, begun.study)
        if row:
            break
        time.sleep(0.2)
    link = f"http://127.0.0.1:{begun.port}/join/{row['join_token']}"

    def proof_is_open() -> bool:
        with store.reading() as connection:
            return any(pool.pool == "proof" for pool in pools.state(connection, row["study"]).pools)

    for group, until in enumerate((proof_is_open, lambda: False)):
        rng = np.random.default_rng((seed, group))
        first = 1000 * seed + RATERS * group
        raters = [SimulatedRater(link, taste, first + i, leniency=float(rng.normal(0, 0.7))) for i in range(RATERS)]
        if not honest and group == 0:
            raters[0].laziness, raters[1].seconds = 1.0, 0.2
        asked = {"patience": math.inf, "until": until}
        threads = [threading.Thread(target=rater.rate, kwargs=asked, daemon=True) for rater in raters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    store.close()


def _say_truth(begun: loop.Loop) -> None:
    """What the raters' taste itself says of all new images: nobody could know it of people."""
    with np.load(begun.run_path(begun.rounds) / "evaluation" / "samples.npz") as stored:
        before, after = (np.array([taste(image) for image in stored[name]]) for name in ("before", "after"))
    d = cohens_d(before, after)
    said = "undefined" if d is None else f"{d:.2f}"
    sides = f"{before.mean():.3f} before the first round, {after.mean():.3f} after the last"
    print(f"The taste that the raters were simulated by: {sides}, d {said}.")
