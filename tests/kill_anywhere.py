"""Kills a run at many moments of its life and compares what it leaves, once repeated to its end, with an unbroken run.

    python tests/kill_anywhere.py --kills 30 --seed 0

The job is the smoke job, with its GAN trained and a second judge, so that every kind of training is in it. Two thirds of the
kills come at moments spread over the run's CPU time, one third inside a write (`kill_seams`), and every fifth rerun is killed
once more. Start-up imports don't count: each run is a fork of a process that has imported everything and computed nothing.
The unbroken run that all are compared with is the public command in a process of its own. Linux only. Prints a table; exits
with 1 on any difference.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.append(str(Path(__file__).with_name("helpers")))

from forked import fork, import_everything, make_small
from kill_seams import Seams

JOB = (
    # Smaller in what costs time and has no writes of its own.
    "smoke --gan.generator train --data.count 32 --gan.batch_size 4 --gan.sample_every 4 --interactions.images 24 "
    "--estimator.steps 12 --estimator.batch_size 8 --estimator.checkpoint_every 3 --estimator.quality_images 16 "
    "--tuning.batch_size 4 --tuning.true_pir_every 6 --tuning.gradients_every 6 --evaluation.judge --evaluation.images 16"
).split()
TIMES = ("finished", "seconds", "parts", "peak_memory_mb", "started", "command")
"""What differs between equal runs, in `done.json` and `config.json`."""
NO_RESULT = (".lock", "start-up.json", "report/index.html")
"""Files that hold times alone, or times among what other files hold too."""


class Life(NamedTuple):
    """How a forked run ended: its exit status (negative: the signal), CPU seconds and its writes, a line each."""

    status: int
    seconds: float
    writes: list[str]


def live(job: list[str], directory: Path, *, seconds: float = float("inf"), write: int = 0) -> Life:
    """Runs the job in a fork, killed after so many CPU seconds or at so many writes, whichever is given."""
    log, output = directory.with_suffix(".writes"), directory.with_suffix(".output")
    log.unlink(missing_ok=True)
    install = Seams(directory, victim=write, log=log).install
    child = fork([*job, "--run-dir", str(directory)], output, directory.with_suffix(".errors"), install)
    used, ended = 0.0, 0
    while not ended:
        used = _cpu_seconds(child) or used
        if used >= seconds:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.03)
        ended, status, usage = os.wait4(child, os.WNOHANG)
    writes = log.read_text().splitlines() if log.exists() else []
    return Life(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, writes)


def _cpu_seconds(process: int) -> float:
    """User and system time of all of its threads; 0 once it is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two finished runs: files that only one has, values, weights, pixels."""
    names = [{str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()} for run in (one, other)]
    names = [{n for n in some if n not in NO_RESULT and "tensorboard" not in n} for some in names]
    found = [f"{name} in one run only" for name in sorted(names[0] ^ names[1])]
    return found + [name for name in sorted(names[0] & names[1]) if not _same(one / name, other / name)]


def _same(one: Path, other: Path) -> bool:
    if one.suffix in (".npz", ".keras"):
        first, second = _arrays(one), _arrays(other)
        return first.keys() == second.keys() and all(
            np.array_equal(value, second[name], equal_nan=value.dtype.kind == "f") for name, value in first.items()
        )
    if one.name in ("done.json", "config.json"):
        first, second = ({k: v for k, v in json.loads(p.read_text()).items() if k not in TIMES} for p in (one, other))
        return first == second
    return one.read_bytes() == other.read_bytes()


def _arrays(path: Path) -> dict[str, Any]:
    """The arrays of an `.npz`, or the weights and the layers of a `.keras` file, by name."""
    if path.suffix == ".npz":
        with np.load(path) as stored:
            return {name: stored[name] for name in stored.files}
    import h5py

    found: dict[str, Any] = {}
    with zipfile.ZipFile(path) as whole:
        # Keras marks objects that layers share by their addresses.
        found["config.json"] = np.array(re.sub(r'"shared_object_id": \d+', "", whole.read("config.json").decode()))
        with h5py.File(io.BytesIO(whole.read("model.weights.h5"))) as weights:
            weights.visititems(lambda n, v: found.update({n: v[()]}) if isinstance(v, h5py.Dataset) else None)
    return found


class Kill(NamedTuple):
    """One moment: CPU seconds, or the number of a write."""

    seconds: float = float("inf")
    write: int = 0


def moments(kills: int, whole: Life, rng: random.Random) -> list[Kill]:
    """One moment in each of `kills` equal parts of a life: of its writes for a third of them, else of its time."""
    inside = -(-kills // 3)
    timed = [Kill(seconds=whole.seconds * (i + rng.random()) / (kills - inside)) for i in range(kills - inside)]
    count = len(whole.writes)
    writes = [Kill(write=min(count, 1 + int(count * (i + rng.random()) / inside))) for i in range(inside)]
    return sorted(timed, key=lambda kill: kill.seconds) + writes


def try_kill(job: list[str], directory: Path, kill: Kill, again: Kill | None) -> tuple[str, list[str]]:
    """Kills a new run and repeats its command to the end: where it died, and what went wrong before any comparison."""
    life = live(job, directory, seconds=kill.seconds, write=kill.write)
    while life.status == 0 and kill.seconds < float("inf"):  # it was quicker than the unbroken one: earlier, then
        shutil.rmtree(directory)
        kill = Kill(seconds=0.9 * min(kill.seconds, life.seconds))
        life = live(job, directory, seconds=kill.seconds)
    last = life.writes[-1] if life.writes else "nothing written yet"
    where = f"in write {kill.write}: {last}" if kill.write else f"at {life.seconds:5.1f} s, last: {last}"
    if life.status != -signal.SIGKILL:
        return where, [f"ended with {life.status} instead of being killed: {_tail(directory)}"]
    if again:
        second = live(job, directory, seconds=again.seconds, write=again.write)
        where += f"; again at {second.seconds:.1f} s" if second.status else "; again too late"
    life = live(job, directory)
    return where, [f"the rerun ended with {life.status}: {_tail(directory)}"] if life.status else []


def _tail(directory: Path) -> str:
    return directory.with_suffix(".errors").read_text(errors="replace")[-2000:]


def main() -> int:
    """Runs the whole. Returns 0 when every killed run ended as the unbroken one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="where the runs go; a temporary folder when not given")
    parser.add_argument("--small", action="store_true", help="small networks, called eagerly: the same files, faster")
    parser.add_argument("job", nargs="*", default=list(JOB), help="after --: words of another job")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="kill-anywhere-"))
    work.mkdir(parents=True, exist_ok=True)
    # No command makes such networks, so the unbroken run is then a fork too.
    forked = work / ("unbroken" if options.small else "forked")
    if not options.small:
        line = [sys.executable, "-m", "pir_tf.experiments.run", *options.job, "--run-dir", str(work / "unbroken")]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    import_everything()
    if options.small:
        make_small()
    whole = live(options.job, forked)
    if whole.status:
        print(_tail(forked))
        return 1
    bad = differences(work / "unbroken", forked)
    print(f"unbroken run: {whole.seconds:.1f} s of CPU time, {len(whole.writes)} moments inside writes", flush=True)
    print(f"   0 {'DIFFERENT' if bad else 'equal':<10} where it was killed: nowhere", *bad, sep="\n       ", flush=True)
    rng = random.Random(options.seed)
    failures = len(bad)
    for number, kill in enumerate(moments(options.kills, whole, rng), start=1):
        directory = work / f"run-{number:02d}"
        again = Kill(seconds=rng.random() * whole.seconds / 2) if number % 5 == 0 else None
        where, wrong = try_kill(options.job, directory, kill, again)
        wrong = wrong or differences(work / "unbroken", directory)
        print(f"{number:4} {'DIFFERENT' if wrong else 'equal':<10} {where}", *wrong, sep="\n       ", flush=True)
        if wrong:
            failures += 1
        else:
            shutil.rmtree(directory)
    print(f"{failures} differences in {options.kills} kills")
    if not failures and not options.work:
        shutil.rmtree(work)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
