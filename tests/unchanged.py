"""What a change of the code's shape must not change: `python tests/unchanged.py --against COMMIT`.

Records, for the work tree and for a commit, what a user gets: the results and the files of a smoke run and of a short laptop
run, the signatures of an exported version, the paper's claims and the tables of its figures from the published runs, and every
command's help. Prints what differs; the exit code is 1 where anything does. On one machine, equal code gives equal bytes.
"""

import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHORT = """
--estimator.output bins
--interactions.images 120 --estimator.steps 40 --estimator.checkpoint-every 20 --estimator.quality-images 60
--tuning.steps 10 --tuning.checkpoint-every 10 --evaluation.images 60
""".split()
COMMANDS = ("run", "sweep", "figures", "claims", "bench", "export")
SIGNATURES = """
import sys, tensorflow as tf
for name, signature in sorted(tf.saved_model.load(sys.argv[1]).signatures.items()):
    print(name, signature.structured_input_signature[1], signature.structured_outputs)
"""


def record(tree: Path, out: Path) -> None:
    """Writes what the code in `tree` gives, as text files in `out`."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "120", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"

    def python(*words: str | Path) -> str:
        line = [sys.executable, *map(str, words)]
        done = subprocess.run(line, cwd=out, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{tree}: {words}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def command(*words: str | Path) -> str:
        return python("-m", "pir_tf.cli", *words)

    out.mkdir(parents=True)
    for name in COMMANDS:
        (out / f"help-{name}.txt").write_text(command(name, "--help"))
    with tempfile.TemporaryDirectory() as work:
        for name, words in (("smoke", []), ("laptop", SHORT)):
            run = Path(work, name)
            command("run", name, *words, "--run-dir", run)
            (out / f"{name}-results.json").write_text((run / "evaluation" / "results.json").read_text())
            found = "\n".join(sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()))
            (out / f"{name}-files.txt").write_text(re.sub("events.out.*", "events", found))
        command("export", Path(work, "smoke"), "--to", Path(work, "models"))
        (out / "signatures.txt").write_text(python("-c", SIGNATURES, Path(work, "models", "1")))
        published = tree / "experiments" / "laptop"
        command("figures", published, "--to", Path(work, "figures"))
        command("claims", published, "--to", Path(work, "claims"))
        for path in [*Path(work, "figures").glob("*.csv"), Path(work, "claims", "claims.json")]:
            (out / path.name).write_bytes(path.read_bytes())


def main() -> int:
    """Compares the work tree with a commit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", required=True, metavar="COMMIT")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where both records stay, to use the old one again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        keep = (arguments.keep or Path(work)).resolve()
        line = ["git", "-C", ROOT, "rev-parse", "--short", arguments.against]
        commit = subprocess.check_output(line, text=True).strip()
        old, new = keep / commit, keep / "work-tree"
        if not old.exists():
            tree = Path(work, "tree")
            subprocess.run(["git", "clone", "-q", "--no-checkout", ROOT, tree], check=True)
            subprocess.run(["git", "-C", tree, "checkout", "-q", commit], check=True)
            record(tree, old)
        subprocess.run(["rm", "-rf", new], check=True)
        record(ROOT, new)
        changed = False
        for name in sorted({path.name for folder in (old, new) for path in folder.iterdir()}):
            both = (folder / name for folder in (old, new))
            before, after = (path.read_text().splitlines() if path.exists() else [] for path in both)
            lines = list(difflib.unified_diff(before, after, f"{commit}/{name}", f"work tree/{name}", lineterm="", n=1))
            print(f"{name}: {'equal' if not lines else f'{len(lines)} lines of difference'}")
            changed = changed or bool(lines)
            print("\n".join(lines[:60]))
    return int(changed)


if __name__ == "__main__":
    sys.exit(main())
