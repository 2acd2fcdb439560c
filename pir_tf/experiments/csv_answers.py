"""Images for people to look at, and the file that their answers come in: the `csv:PATH` of a config.

While PATH is absent, the images and an empty template are written; until it is filled in, the stage waits. Image ids hold a
hash of the pixels, so an answer can't be taken for another round's image.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from pir_tf.config import ExperimentConfig
from pir_tf.errors import InputError
from pir_tf.images import save_png
from pir_tf.interactions.ratings import Ratings, is_unfilled, read_ratings, write_template
from pir_tf.runs.directory import RunDirectory, read_json, write_json


class Waiting(Exception):
    """A stage has done what it can and waits for people; the message says what to do."""


def image_ids(images: np.ndarray, prefix: str) -> list[str]:
    """An id for each image: prefix, place in the list, and eight hex digits of the SHA-256 of its pixels."""
    return [f"{prefix}-{i:04d}-{hashlib.sha256(image.tobytes()).hexdigest()[:8]}" for i, image in enumerate(images)]


def answers(path: Path, images: np.ndarray, ids: list[str], *, run_directory: Path, also: str = "") -> Ratings:
    """People's answers for `images`, or a wait for them.

    Args:
        path: the CSV file of answers.
        images: uint8 `[n, h, w, 3]`.
        ids: their ids, in whose order the answers are returned.
        run_directory: noted beside the images, so that the same command finds its run again.
        also: what else people have to know, a sentence.

    Raises:
        Waiting: the file was absent (images and template are written now) or nobody has filled it in.
        InputError: the file has a wrong row, named by its number.
    """
    folder = images_folder(path)
    how = "for each row of it write how often the image was shown (impressions) and liked (positives)"
    todo = " ".join(filter(None, (also, "Then give the same command again.")))
    if not path.exists():
        if other := _other_run(folder, run_directory):
            raise InputError(
                f"{folder} has images of another run ({other}), which people would judge in place of this one's: name "
                "another CSV file, or move that folder away."
            )
        folder.mkdir(parents=True, exist_ok=True)
        for image, name in zip(images, ids, strict=True):
            save_png(folder / f"{name}.png", image)
        # Relative, so that both may be moved or copied together.
        write_json(folder / "run.json", {"run_directory": os.path.relpath(run_directory.resolve(), folder.resolve())})
        write_template(path, ids)
        raise Waiting(f"Show people the {len(ids)} images in {folder}; the template is {path}: {how}. {todo}")
    if is_unfilled(path):
        raise Waiting(f"{path} is not filled in yet: {how} (images: {folder}). {todo}")
    return read_ratings(path, ids)


def _other_run(folder: Path, run_directory: Path) -> str:
    """The run whose images the folder has, if it isn't this one."""
    note = folder / "run.json"
    found = read_json(note) if note.is_file() else None
    named = found.get("run_directory") if isinstance(found, dict) else None
    same = not isinstance(named, str) or (folder / named).resolve() == run_directory.resolve()
    return "" if same else str(named)


def answers_digest(path: Path) -> str:
    """SHA-256 of the answers, noted when they are used, so that a later change is noticed."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def answers_path(run: RunDirectory, stage: str) -> Path | None:
    """The file of people's answers that `interactions` or `evaluation` reads; None for other stages and simulated users."""
    asked = {"interactions": run.config.interactions.source, "evaluation": run.config.evaluation.source}.get(stage, "")
    if asked.startswith("csv:"):
        return _csv(asked)
    if stage != "evaluation" or who_judges(run.config) != "csv":
        return None
    return run.path / "evaluation" / "answers.csv"


def who_judges(config: ExperimentConfig) -> str:
    """Who says the new images' PIR: `simulated` users, people by a `csv` file or in a `people` database, or `none`."""
    return config.proof_source.partition(":")[0]


def require_unchanged(run: RunDirectory, stage: str) -> None:
    """Refuses answers that a finished stage didn't use: they changed since, or are asked for now alone.

    Raises:
        InputError: the file of answers is not what was used, or simulated users judged.
    """
    path, used = answers_path(run, stage), (run.facts(stage) or {}).get("answers_sha256")
    if path is None:
        return
    new = "begin a new run with --run-dir NEW"
    if stage == "evaluation":
        new = (
            f"copy {run.path}, remove evaluation/done.json and report/done.json there, and name the copy with --run-dir"
        )
        used = _used_by_evaluation(run, path, used, new)
    if used and path.exists() and answers_digest(path) != used:
        raise InputError(
            f"{path} changed after stage {stage} used it, or is another file: restore the answers, or to use these {new}."
        )


def _used_by_evaluation(run: RunDirectory, path: Path, used: str | None, new: str) -> str | None:
    """SHA-256 of the answers that `path` must hold now; None where the run names no file and its own is not in use."""
    named = run.config.evaluation.source != "same"
    if not used and run.config.interactions.source == "simulated":
        raise InputError(
            f"evaluation.source is csv:{path}, while the evaluation in {run.path} is finished with simulated users' answers: "
            f"to have people judge, {new}."
        )
    if named and not path.exists():
        raise InputError(
            f"evaluation.source is csv:{path}, which is not there, while the evaluation in {run.path} is finished with people's "
            f"answers: leave --evaluation.source out to keep those, or to have people judge again, {new}."
        )
    return used if named or not is_unfilled(path) else None


def images_folder(path: Path) -> Path:
    """Where the images lie that the answers in `path` are about."""
    return path.with_name(f"{path.stem}_images")


def run_directory_of(source: str) -> Path | None:
    """The run that wrote the images for `csv:PATH`, when there is one: the same command then goes on with it.

    Raises:
        InputError: The images name a run that isn't there, or don't say which.
    """
    if not source.startswith("csv:"):
        return None
    note = images_folder(_csv(source)) / "run.json"
    if not note.exists():
        return None
    facts = read_json(note)
    named = facts.get("run_directory") if isinstance(facts, dict) else None
    directory = Path(os.path.abspath(note.parent.resolve() / str(named)))
    if named and (directory / "config.json").exists():
        return directory
    raise InputError(
        f"{note} says that the run which asks about these images lies in {directory}, where no run is: people would be asked a "
        "second time, so name its directory with --run-dir PATH, or to begin a new run, a CSV file that isn't there yet."
    )


def _csv(source: str) -> Path:
    return Path(source.removeprefix("csv:")).expanduser()
