"""`pir-tf people`: a study's database and its rating page, from plan to export. No TensorFlow."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pir_tf.commands import Parser, exit_code, user_path
from pir_tf.errors import InputError, Unavailable
from pir_tf.experiments.study_options import add_mode, add_study_options, begin_study
from pir_tf.people.extra import require_extra

if TYPE_CHECKING:
    from pir_tf.people.store import Store

DESCRIPTION = """A study with people: what a budget of answers can see, the rating page, and what became of the answers.

DATABASE is a file, or postgresql://USER@HOST/NAME with the password in PGPASSFILE. With several studies in it, --study names one.
`pir-tf loop` does all of this by itself, round after round."""

OPEN_TO_OTHERS = (
    "Everybody who reaches this machine's network address reaches the page: raters by their link, you by yours. Their connection "
    "is not encrypted here: HTTPS is the proxy's, and so is how long a request that is half sent may wait."
)


UP = "Stop with Ctrl-C."
"""The last line that a page says before it serves."""
LAST_PAGE_SECONDS = 20.0
"""How long a loop's page waits for the port and the database of the one before, which ends after its loop was killed."""


def main(arguments: list[str] | None = None) -> int:
    """Runs a subcommand of `pir-tf people`; 0, or 2 for a user's mistake."""
    return exit_code(lambda: _run(sys.argv[1:] if arguments is None else arguments), "another place")


def parser() -> Parser:
    """The command line of `pir-tf people`."""
    whole = Parser(prog="pir-tf people", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(
        name: str, do: Callable[[argparse.Namespace], None], text: str, *, database: bool = True
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
        sub.set_defaults(do=do)
        if database:
            sub.add_argument("database", metavar="DATABASE", help="file or postgresql:// URL")
            sub.add_argument("--study", default="", metavar="NAME", help="the study's name, where there are several")
        return sub

    plan = add("plan", _plan, "what so many answers can see, how many raters, and how to split them", database=False)
    plan.add_argument("--budget", type=int, required=True, metavar="N", help="answers in all")
    add_mode(plan)
    plan.add_argument("--answers-per-rater", type=int, default=200, metavar="N", help="at most (default: 200)")
    text = "of the proof, on average (default: as pir-tf loop asks, 3, in mode grid 2)"
    plan.add_argument("--answers-per-image", type=float, metavar="N", help=text)
    plan.add_argument("--alpha", type=float, default=0.001, help="significance threshold (default: 0.001)")
    plan.add_argument("--power", type=float, default=0.8, help="chance to see what is there (default: 0.8)")

    add(
        "words",
        _words,
        "print the page's own words as JSON, to translate for --words of `begin` or `loop`",
        database=False,
    )
    begin = add("begin", _begin, "begin a study: its words and its rules, in a new database or an old one")
    add_study_options(begin)

    serve = add("serve", _serve, "open the rating page, and print the raters' link and the owner's")
    add_server_options(serve)
    preview = add("preview", _preview, "look at the rating page, with answers that go nowhere")
    add_server_options(preview)
    add("status", _status, "what is there, who answers, what is missing, time left at this pace")
    add(
        "pause",
        functools.partial(_control, "pause"),
        "hand out nothing until `resume`; what was handed out may be answered",
    )
    add("resume", functools.partial(_control, "resume"), "go on after a pause")
    add("close", functools.partial(_control, "close"), "close what is open: later answers are kept, and not counted")
    add("secret", _secret, "print the secret with which a server of your own asks for images")
    export = add("export", _export, "every row as CSV, with a README of the columns")
    export.add_argument("--to", required=True, type=user_path, metavar="FOLDER", help="a new or empty folder")
    report = add("report", _report, "the report of a study from its database alone, as one HTML file")
    report.add_argument(
        "--to", required=True, type=user_path, metavar="FILE", help="the file, replaced if it is a report"
    )
    withdraw = add("withdraw", _withdraw, "delete a person's rows, and list what still holds their answers")
    withdraw.add_argument("rater", metavar="RATER", help="pseudonym, or the id in their link")
    backup = add("backup", _backup, "copy an SQLite database as of now, while it is served")
    backup.add_argument("--to", required=True, type=user_path, metavar="FILE", help="a name that is free")
    return whole


def add_server_options(sub: argparse.ArgumentParser) -> None:
    """Options of the server."""
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    sub.add_argument("--port", type=int, default=0, help="port (default: a free one)")
    sub.add_argument(
        "--public-url", default="", metavar="URL", help="its address for raters, behind a proxy with HTTPS"
    )
    sub.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)


def _run(words: list[str]) -> int:
    given = parser().parse_args(words)
    if given.command not in ("plan", "words"):
        require_extra()
    given.do(given)
    return 0


@contextlib.contextmanager
def _opened(given: argparse.Namespace, *, create: bool = False) -> Iterator[Store]:
    """The database of a command line, whose refusals are said in one sentence."""
    from pir_tf.people.store import Store

    store = Store(given.database, create=create)
    try:
        yield store
    except Unavailable as error:
        raise InputError(
            f"The database {store.name} can't be used now ({error}): mend that, and repeat the command."
        ) from None
    finally:
        store.close()


def _plan(given: argparse.Namespace) -> None:
    from pir_tf.statistics.planning import ANSWERS_PER_IMAGE, plan

    mode: Any = given.mode or "like"
    each = ANSWERS_PER_IMAGE[mode] if given.answers_per_image is None else given.answers_per_image
    settings = {name: getattr(given, name) for name in ("answers_per_rater", "alpha", "power")}
    print("\n".join(plan(given.budget, mode, answers_per_image=each, **settings).sentences()))


def _words(given: argparse.Namespace) -> None:
    from pir_tf.people.words import WORDS

    print(json.dumps(WORDS, ensure_ascii=False, indent=1))


def _begin(given: argparse.Namespace) -> None:
    with _opened(given, create=True) as store:
        with store.writing() as connection:
            row = begin_study(connection, given, given.study)
        print(f"The study {row['name']!r} is in {store.name}. Its page: pir-tf people serve {store.name}")
        print(f"Images come from a run: --interactions.source people:{store.name}, or from pir-tf loop.")


def _serve(given: argparse.Namespace) -> None:
    from pir_tf.people.places import Taken
    from pir_tf.people.server import Server

    _follow_parent(given.with_parent)
    until = time.monotonic() + (LAST_PAGE_SECONDS if given.with_parent else 0)
    while True:
        try:
            server = Server(given.database, host=given.host, port=given.port, public_url=given.public_url)
        except Taken:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return _say_and_run(server)


def _preview(given: argparse.Namespace) -> None:
    from pir_tf.people import keeping
    from pir_tf.people.server import Server

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the copy is removed
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "preview.db"
        with _opened(given) as store:
            keeping.preview(store, given.study, path)
        print("A preview: nothing that is answered here is kept.", flush=True)
        _say_and_run(Server(path, host=given.host, port=given.port, public_url=given.public_url))


def _say_and_run(server: Any) -> None:
    for name, raters, owner in server.links():
        print(f"Study {name!r}\n  for raters: {raters}\n  for you:    {owner}")
    if not server.links():
        print(f"The database has no study yet; the page is at {server.url}.")
    if server.open_to_others:
        print(OPEN_TO_OTHERS)
    print(UP, flush=True)
    server.run()


def _follow_parent(follow: bool) -> None:
    """Ends the process when the one that began it is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), 15)

    if follow:
        threading.Thread(target=watch, daemon=True).start()


def _status(given: argparse.Namespace) -> None:
    from pir_tf.people import owner, pools

    with _opened(given) as store, store.snapshot() as connection:
        row = pools.require(connection, given.study)
        found = owner.status(connection, row)
    print(f"{found['study']}: {found['state']}, round {found['round']}, mode {found['mode']}")
    for pool in found["pools"]:
        wanted = f" of {pool['wanted']:,}" if pool["wanted"] else ""
        print(
            f"  round {pool['round']} {pool['pool']:<8} {pool['answers']:,}{wanted} answers, {pool['skipped']} skipped, "
            f"{pool['unanswered']} seen and not answered; {pool['images']:,} images; {pool['state']}"
        )
    if found["pace_per_hour"]:
        left = found["minutes_left"]
        until = "" if left is None else f", {left:,.0f} minutes left at this pace"
        print(f"  {found['pace_per_hour']:,.0f} answers an hour{until}")
    if own := found["own_page"]:
        sent = ", ".join(f"{count:,} {kind}" for kind, count in own["events"].items())
        print(f"  your own page: {own['handed']:,} images taken; events: {sent}")
    if found["e_value"] is not None:
        print(f"  evidence (e-value) {found['e_value']:.3g}, enough to stop at {found['e_needed']:,.0f}")
    for rater in found["raters"]:
        seconds = f"{rater['median_seconds']:.1f} s" if rater["median_seconds"] is not None else "no times"
        flags = f"  {', '.join(rater['flags'])}" if rater["flags"] else ""
        repeats = f"{rater['repeats_same']} of {rater['repeats']} repeats alike"
        print(f"  {rater['rater']}  {rater['answers']} answers, {seconds} each, {repeats}{flags}")


def _control(action: str, given: argparse.Namespace) -> None:
    from pir_tf.people import counted, pools

    with _opened(given) as store, store.writing() as connection:
        row = pools.require(connection, given.study)
        if action == "close":
            counted.require_enough(connection, row)
            pools.close_pools(connection, row["study"], "closed by the owner")
        else:
            pools.control(connection, row["study"], action)
    print({"pause": "Paused.", "resume": "Open again.", "close": "Closed."}[action])


def _secret(given: argparse.Namespace) -> None:
    from pir_tf.people import pools

    with _opened(given) as store, store.reading() as connection:
        print(pools.require(connection, given.study)["server_secret"])


def _export(given: argparse.Namespace) -> None:
    from pir_tf.people import keeping

    with _opened(given) as store:
        counts = keeping.export(store, given.study, given.to)
    print(f"{given.to}: " + ", ".join(f"{name} with {count:,} rows" for name, count in counts.items()))


def _report(given: argparse.Namespace) -> None:
    from pir_tf.people.summary import read_summary
    from pir_tf.report.people import write_people_report

    with _opened(given) as store:
        found = read_summary(store, given.study)
    print(f"Report: {write_people_report(found, given.to)}")


def _withdraw(given: argparse.Namespace) -> None:
    from pir_tf.people import keeping

    with _opened(given) as store:
        counts, runs = keeping.withdraw(store, given.study, given.rater)
    print("Deleted: " + ", ".join(f"{count} rows of {table}" for table, count in counts.items()) + ".")
    for run in runs:
        print(f"Still holds answers of theirs, and whatever was exported from it does: {run}")


def _backup(given: argparse.Namespace) -> None:
    with _opened(given) as store:
        store.backup(given.to)
    print(f"Copied to {given.to}.")


if __name__ == "__main__":
    sys.exit(main())
