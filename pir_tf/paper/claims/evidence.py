"""The experiments that speak for claims, as a table, with what their files say beside the results. No TensorFlow.

Claims of 2.4, 5.1, A.1 and C.3 rest on files that a row doesn't hold: the tuning log, the estimator's errors, the times. A
published folder has them under their base names. What is absent is NaN, or empty text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pir_tf.paper.collect import Collected
from pir_tf.paper.models import LinearModel, fit_models
from pir_tf.paper.rows import COLUMNS, read_rows
from pir_tf.paper.select import by_the_paper, comparisons, trade_offs
from pir_tf.paper.suites import SIZES, Weights, experiments
from pir_tf.report.numbers import finite, gpus
from pir_tf.runs.directory import STAGES, read_json
from pir_tf.runs.provenance import commits
from pir_tf.statistics.effects import ALPHA

FACTS: dict[str, type] = {
    **dict.fromkeys(("commit", "hardware"), str),
    **dict.fromkeys(("inception", "inception_range", "vgg"), str),  # weights that a command has to name
    "seconds": float,  # of its own stages
    "gan": str,  # a GAN that was trained for several runs
    "gan_seconds": float,
    "gradient_ratio": float,  # median norm of the weighted PIR term's gradient over that of L_fake_image_fools (2.4)
    "loss_ratio": float,  # median size of the weighted PIR term over that of L_fake_image_fools (2.4)
    "pir_rise": float,  # mean L_PIR at the end of tuning minus at its start
    "generator_loss_rise": float,  # the same of the loss that the pretrained generator had, -L_fake_image_fools (5.1)
    "bias": float,  # mean estimated minus mean true PIR of new images, at the temperature of use (A.1)
    "bias_at_1": float,  # the same at temperature 1
    "error": float,  # mean absolute error on new images, as trained (C.3)
    "swd": float,  # sliced Wasserstein distance of the pretrained generator's images to real ones
}
"""Columns beside those of a row: what an experiment's files say."""

LEFT_OUT = "left out"  # the `status` of experiments with results that prove nothing
PART = 0.2  # share of the tuning log that is its start, and as much its end

Rows = Any  # a table of experiments, or a dictionary for each


class Evidence:
    """Experiments with results, those that a sweep lists without (`status`, `reason`), and the suites of each by its name."""

    def __init__(self, rows: Rows, missing: Rows = (), suites: Mapping[str, Sequence[str]] | None = None) -> None:
        """Takes the columns of a row, and those of `FACTS`."""
        self.rows, self.suites, self._listed = frame(rows), suites or {}, missing

    @functools.cached_property
    def method(self) -> pd.DataFrame:
        """First rounds with the paper's method and objectives, each objective and seed once."""
        return by_the_paper(self.rows)

    @functools.cached_property
    def models(self) -> dict[str, LinearModel]:
        """The paper's linear models over these."""
        return fit_models(self.rows)

    @functools.cached_property
    def curves(self) -> pd.DataFrame:
        """Experiments that differ in the weights of the generator's loss alone, with the number of their `curve`."""
        return trade_offs(self.rows)

    @functools.cached_property
    def _missing(self) -> pd.DataFrame:
        return frame(self._listed)

    @functools.cached_property
    def _pairs(self) -> pd.DataFrame:
        return comparisons(self.rows)

    def compared(self, setting: str) -> pd.DataFrame:
        """Experiments that depart from the paper in one setting alone, with the paper's beside them as `paper_...`."""
        found = self._pairs[self._pairs.field == setting]
        paper, others = (found[start::2].reset_index(drop=True) for start in (0, 1))
        return others.join(paper.add_prefix("paper_"))

    def why_not_run(self, what: str, of: str) -> str:
        """Why there is nothing `of fc6`, as a sweep says it of the experiments that fit a query.

        Where others of these have results, they lack what was to be measured, and no missing one is the reason.
        """
        missing = select(self._missing, of)
        if missing.empty or len(select(self.rows, of)):
            return f"no runs {what}"
        status, reason = missing.iloc[0][["status", "reason"]]
        first = reason.partition(": ")[0].rstrip(".")  # what to do comes after a colon
        if status == "not run" and "weights" in first:
            return f"weights not available offline ({first})"
        if status in ("not run", LEFT_OUT):
            return first or "left out of the sweep"
        return "not run yet" if status == "waiting" else f"{status}: {first}" if first else status


def evidence_of(found: Collected) -> Evidence:
    """Collected experiments with the facts of their directories.

    Raises:
        InputError: A file in a directory is damaged.
    """
    rows = frame(found.rows)
    why = pd.Series("", index=rows.index)
    why[rows.vgg_weights == "none"] = "random VGG16 weights prove nothing"
    why[rows.preset == "smoke"] = "runs of size smoke prove nothing"
    left_out, rows = rows.assign(status=LEFT_OUT, reason=why)[why != ""], rows[why == ""]
    facts = pd.DataFrame([read_facts(found.places[name]) for name in rows.experiment], rows.index, list(FACTS))
    sizes = sorted(SIZES.keys() & set(rows.preset))
    suites = {one.name: own for size in sizes for one, own in experiments(["paper"], size, Weights()).items()}
    return Evidence(rows.assign(**facts), pd.concat([frame(found.missing), left_out]), suites)


def frame(rows: Rows) -> pd.DataFrame:
    """A table of experiments with every column, numbers as floats, and what follows from them."""
    types = {**COLUMNS, **FACTS, "status": str, "reason": str}
    found = (rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)).reindex(columns=list(types))
    numbers, texts = ([name for name, kind in types.items() if kind in own] for own in ((int, float), (str,)))
    parts = (found[texts].astype(object).fillna(""), found[numbers].astype(float), found.drop(columns=texts + numbers))
    found = pd.concat(parts, axis=1).reset_index(drop=True).copy()  # in one piece
    return found.assign(
        improved=(found.p_value < ALPHA) & (found.change > 0),  # significantly (4)
        lost=found.collapsed.astype(object).eq(True),  # more than half of a class's distance (5.1)
        excess=found.estimated_change - found.change,
        gain=found.d_from_start - found.first_round_d,  # the second round's own part of the effect size (A.3)
    )


def evaluate(rows: pd.DataFrame, expression: str) -> pd.Series:
    """The values of an expression of columns."""
    return rows[columns_of(rows, expression)].eval(expression, engine="python")


def columns_of(rows: pd.DataFrame, expression: str) -> list[str]:
    """The columns that an expression names."""
    return [name for name in dict.fromkeys(re.findall(r"[a-z_]\w*", expression)) if name in rows]


def select(rows: pd.DataFrame, query: str) -> pd.DataFrame:
    """The rows that fit a query; all for an empty one."""
    return rows[evaluate(rows, query)] if query else rows


def read_facts(directory: Path) -> dict[str, Any]:
    """The facts of a run directory or published folder; of one that isn't there its seconds alone, from the sweep's table.

    Raises:
        InputError: A file in it is damaged.
    """
    about = _json(directory / "config.json")
    config = about.get("config") or {}
    quality = _json(_first(directory, "estimator/quality.json", "quality.json"))
    at_1, used = quality.get("at_temperature_1") or {}, quality.get("at_temperature") or {}
    swd = _numbers(_table(directory / "gan" / "history.csv"), "swd")
    log = _table(_first(directory, "tuning/history.csv", "history.csv"))
    pir, fools = _numbers(log, "L_PIR"), _numbers(log, "L_fake_image_fools")
    weight = finite(config.get("tuning.pir_weight"))
    facts = {
        "commit": commits(about, 7),
        "hardware": _hardware(about.get("hardware") or {}),
        **_weights(config),
        **_times(directory),
        "gradient_ratio": _ratio(_numbers(log, "gradient_pir"), _numbers(log, "gradient_fools")),
        "loss_ratio": None if weight is None else _ratio(weight * pir.abs(), fools.abs()),
        "pir_rise": _rise(pir),
        "generator_loss_rise": _rise(-fools),
        "bias": finite(used.get("bias")),
        "bias_at_1": finite(at_1.get("bias")),
        "error": finite(at_1.get("mean_absolute_error")),
        "swd": None if swd.empty else float(swd.iloc[-1]),
    }
    return dict.fromkeys(FACTS) | facts


def _first(directory: Path, *names: str) -> Path:
    return next((directory / name for name in names if (directory / name).is_file()), directory / names[0])


def _json(path: Path) -> dict[str, Any]:
    value = read_json(path) if path.is_file() else {}
    return value if isinstance(value, dict) else {}


def _hardware(machine: dict[str, Any]) -> str:
    cores = machine.get("cores")
    known = [f"{cores} CPU cores ({machine.get('machine')})" if cores else "", gpus(machine)]
    return ", ".join(part for part in known if part)


def _weights(config: dict[str, Any]) -> dict[str, Any]:
    """Pretrained weights other than the defaults; a colour's config has the default of what it doesn't use."""
    fields = ("estimator.weights", "interactions.vgg_weights", "evaluation.kid_weights")
    named = {name: config.get(name) for name in fields if config.get(name) not in (None, "", "none", "imagenet")}
    found = {"vgg": named.get(fields[1], named.get(fields[2], ""))}
    if config.get("estimator.backbone") == "inception_v3" and fields[0] in named:
        low, high = config.get("estimator.input_range") or (-1, 1)
        found |= {"inception": named[fields[0]], "inception_range": f"{low:g} {high:g}"}
    return found


def _times(directory: Path) -> dict[str, Any]:
    """Seconds of the run's own stages, and the shared GAN: from its stages, the sweep's table, or `published.json`."""
    stages = {name: _json(directory / name / "done.json") for name in STAGES}
    own = [finite(facts.get("seconds")) or 0.0 for facts in stages.values() if facts and "trained_in" not in facts]
    if own:
        gan, gan_seconds = stages["gan"].get("trained_in"), finite(stages["gan"].get("seconds"))
        return {"seconds": sum(own), **({"gan": gan, "gan_seconds": gan_seconds} if gan else {})}
    table = _table(directory.parent / "timings.csv")
    ours = {"name", "seconds"} <= {*table}  # else it is somebody's own file
    lines = {line["name"]: line for line in table.to_dict("records")} if ours else {}
    if line := lines.get(directory.name):
        gan = lines.get(line.get("gan_trained_in"))
        shared = {"gan": gan["name"], "gan_seconds": _number(gan["seconds"])} if gan else {}
        return {"seconds": _number(line["seconds"]), **shared}
    return {"seconds": finite(_json(directory / "published.json").get("seconds"))}


def _table(path: Path) -> pd.DataFrame:
    """A CSV file of a run as text; an empty table where there is none."""
    return pd.DataFrame(read_rows(path, {}) if path.is_file() and path.stat().st_size else [])


def _numbers(table: pd.DataFrame, name: str) -> pd.Series:
    """The numbers of one column of a log, in its order."""
    return pd.Series(map(_number, table.get(name, ())), dtype=float).dropna()


def _number(text: str) -> float | None:
    try:
        return finite(float(text))
    except ValueError:
        return None


def _ratio(above: pd.Series, below: pd.Series) -> float | None:
    """Median over median; None where one is undefined."""
    return float(above.median() / below.median()) if len(above) and len(below) and below.median() else None


def _rise(values: pd.Series) -> float | None:
    """Mean of the last part minus mean of the first."""
    count = max(1, int(PART * len(values)))
    return float(values.tail(count).mean() - values.head(count).mean()) if len(values) > 1 else None
