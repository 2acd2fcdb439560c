"""`python -m pir_tf.paper.publish COMMAND`: the maintainer's scripts, for the repository's runs; `--help` lists them.

A published folder has a run's config, results and log, a page for people, and `published.json` for `pir-tf claims`: how it was
made and how long it took. No weights. A folder can hold several sweeps of one size: what was published before stays, unless the
sweep has finished it too.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro

from pir_tf.commands import exit_code
from pir_tf.config import flatten
from pir_tf.errors import InputError
from pir_tf.images import grid, save_png
from pir_tf.paper import both_methods
from pir_tf.paper import costs as change_costs
from pir_tf.paper.collect import collect
from pir_tf.paper.figures.page import make
from pir_tf.paper.jobs import timing_of
from pir_tf.paper.rows import row_of, table
from pir_tf.paper.select import by_the_paper, departures
from pir_tf.presets import laptop, paper
from pir_tf.report.numbers import gpus, interval, number
from pir_tf.report.tables import result_table
from pir_tf.runs import provenance
from pir_tf.runs.directory import LEFTOVER, STAGES, atomic, read_json, write_json
from pir_tf.training import devices

TABLES = ("results.csv", "timings.csv")
COPIED = ("config.json", "data.json", "estimator/quality.json", "tuning/history.csv", "evaluation/results.json")
FILES = """`results.json` has all of it, `config.json` every field, `quality.json` the estimator's held-out quality and
`history.csv` the tuning."""
FIGURES = "[Figures and linear models over all of it](figures/README.md)."
TABLE_FILES = "`results.csv` has every experiment's numbers, `timings.csv` the times."
PICTURES = {
    "pairs.png": "Images from the same latents before and after tuning, a row each in turn, randomly drawn",
    "pir-true.png": "True PIR before and after",
    "tuning-pir.png": "True and estimated PIR while tuning",
    "pir-estimates.png": "True and estimated PIR",
    "calibration.png": "The estimator's calibration on held-out images",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line: 0, or 2 for a user's mistake."""
    commands: dict[str, Callable[..., Any]] = {"run": publish, "sweep": publish_sweep, "bundle": bundle}
    commands["presets"] = lambda: print(presets_table())
    commands |= {"compare": compare, "methods": methods, "costs": costs, "curves": curves}
    run, positional = tyro.extras.subcommand_cli_from_dict, (tyro.conf.PositionalRequiredArgs,)
    return exit_code(lambda: run(commands, args=arguments, config=positional), "another folder")


def publish(run: Path, folder: Path, *, weights_from: str = "") -> None:
    """Publishes a finished run: its config, results and figures, a page and `published.json`.

    Args:
        run: Its directory.
        folder: Where to; made when absent, its files of these names replaced.
        weights_from: A sentence on the files of pretrained weights, for the page of a run that used one.

    Raises:
        InputError: The run isn't finished, or the folder holds something else.
        OSError: The folder can't be written.
    """
    _publish(run, folder, weights_from, PICTURES)


def _publish(run: Path, folder: Path, weights_from: str, pictures: Mapping[str, str], title: str = "") -> None:
    copied = _finished(run)
    _make_own(folder, "published.json")
    write_json(folder / "published.json", made_by(run))  # first, so that what is broken off can be repeated
    for name in [name for name in (*copied, *(f"report/{name}" for name in pictures)) if (run / name).is_file()]:
        shutil.copyfile(run / name, folder / Path(name).name)
    if "pairs.png" in pictures:
        save_png(folder / "pairs.png", _pairs(run))
    config, results = read_json(run / "config.json")["config"], read_json(run / "evaluation" / "results.json")
    title = title or f"{results['objective'] or 'real people'}, preset {config['preset']}"
    used = weights_from and any(str(value).startswith("file:") for value in config.values())
    parts = [f"# {title}", facts_table(run), f"```text\n{result_table(results)}\n```", FILES]
    parts += [f"Weights: {weights_from}"] if used else []
    parts += [f"{text}:\n\n![{text}]({name})" for name, text in pictures.items() if (folder / name).is_file()]
    _write(folder / "README.md", "\n\n".join(parts) + "\n")


def _finished(run: Path) -> list[str]:
    """Which of `COPIED` the run has; refuses one that isn't finished."""
    about = run / "gan" / "generator.json"
    imported = about.exists() and read_json(about).get("imported")
    copied = [name for name in COPIED if not (imported and name == "data.json")]  # which has no real images
    missing = [name for name in (*copied, "report/done.json") if not (run / name).is_file()]
    if missing:
        raise InputError(f"{run} has no {', '.join(missing)}, expected a finished run with its report: finish it.")
    return copied


def _pairs(run: Path, count: int = 8) -> np.ndarray:
    """For each class a row of images before tuning and below it the same latents after it, at twice their size."""
    with np.load(run / "evaluation" / "samples.npz") as samples:
        labels = samples["pair_labels"]
        rows = [samples[name][labels == c][:count] for c in np.unique(labels) for name in ("pair_before", "pair_after")]
    return grid(np.concatenate(rows).repeat(2, axis=1).repeat(2, axis=2), columns=count)


def made_by(run: Path) -> dict[str, Any]:
    """What `published.json` says: command, commit, hardware, the seconds of the run's own stages, and when it was finished."""
    config, last = read_json(run / "config.json"), run / STAGES[-1] / "done.json"
    machine = config["hardware"]
    return {
        "command": config["command"],
        "commit": provenance.commits(config) or "unknown",
        "hardware": f"{machine['cores']} CPU cores ({machine['machine']}), {gpus(machine) or 'no GPU used'}",
        "seconds": timing_of(run)["seconds"],
        "finished": read_json(last).get("finished") if last.is_file() else None,
    }


def facts_table(run: Path, more: Mapping[str, str] | None = None) -> str:
    """Command, commit, seed, hardware, time, memory and versions of a run, and more, as a table in Markdown."""
    config, facts, timing = read_json(run / "config.json"), made_by(run), timing_of(run)
    times = [f"{stage} {timing[f'{stage}_seconds']:.0f} s" for stage in STAGES if f"{stage}_seconds" in timing]
    times += [f"without the GAN of {timing['gan_trained_in']}"] if timing["gan_trained_in"] else []
    rows = {
        "command": f"`{facts['command']}`",
        "commit": facts["commit"],
        "seed": config["config"]["seed"],
        "hardware": facts["hardware"],
        "time": f"{facts['seconds']:.0f} s in its stages: {', '.join(times)}",
        "peak memory": f"{timing['peak_memory_mb']:,} MB",
        "versions": ", ".join(f"{name} {version}" for name, version in provenance.versions(config).items() if version),
        "started": config["started"],
    }
    return _markdown(("", ""), {**rows, **(more or {})}.items())


def publish_sweep(sweep: Path, folder: Path, *, weights_from: str = "", figures: bool = True) -> None:
    """Publishes every finished experiment of a sweep, its tables, and the figures over all that the folder then holds.

    Args:
        sweep: Its directory.
        folder: Where to; finished experiments replace those of their names that another publication left there.
        weights_from: A sentence on the files of pretrained weights, for the pages of runs that used one.
        figures: Draw the paper's figures where experiments have its method; without where they are a few beside others.

    Raises:
        InputError: The directory holds no sweep, none of it is finished, or the folder holds something else.
        OSError: The folder can't be written.
    """
    if not (sweep / TABLES[0]).is_file():
        raise InputError(f"{sweep} has no {TABLES[0]}, expected the directory of a sweep: name its --dir.")
    before, now = (_read(place / TABLES[0]) for place in (folder, sweep))
    finished = now.index[now["status"] == "done"]
    for name in finished:
        _finished(sweep / name)
    _make_own(folder, TABLES[0])
    stay = [name for name in before.index if before.loc[name, "status"] == "done" and name not in finished]
    for file in TABLES:
        before, now = (_read(place / file) for place in (folder, sweep))
        rows = pd.concat([now.drop(index=stay, errors="ignore"), before])
        rows = rows[~rows.index.duplicated()].loc[[*dict.fromkeys([*before.index, *now.index])]]
        with atomic(folder / file) as beside:
            rows.to_csv(beside, index=False, lineterminator="\n")
    for name in finished:
        _publish(sweep / name, folder / name, weights_from, {"pir-true.png": PICTURES["pir-true.png"]}, title=name)
    # A published folder has no images: the samples of figure 3 that were drawn from them stay.
    place = folder if stay else sweep
    papers = figures and not by_the_paper(collect([place]).rows).empty  # whose figures show the paper's method alone
    if papers:
        make([place], folder / "figures", keep_samples=bool(stay))
    rows = _read(folder / TABLES[0])
    shown = rows[rows["status"] != "waiting"]  # a part of a suite may be all that was asked for
    counts = ", ".join(f"{count} {status}" for status, count in Counter(shown["status"]).items())
    if others := len(rows) - len(shown):
        counts += f"; {others} more of its suites not run yet"
    sizes = ", ".join(sorted({*rows["preset"]} - {""}))
    parts = [f"# Experiments of size {sizes}", f"{counts}."]
    parts += [f"Weights: {weights_from}"] if weights_from else []
    header = ("experiment", "mean PIR before", "after", "Cohen's d (95% interval)", "p below 0.001", "")
    parts += [FIGURES] if papers else []
    parts += [TABLE_FILES, _markdown(header, map(_line, shown.to_dict("records")))]
    _write(folder / "README.md", "\n\n".join(parts) + "\n")


def _line(row: dict[str, str]) -> tuple[str, ...]:
    if row["status"] != "done":
        return (row["name"], "", "", "", "", ": ".join(filter(None, (row["status"], row.get("reason")))))
    names = ("pir_before_mean", "pir_after_mean", "cohens_d", "d_low", "d_high")
    before, after, d, low, high = (f"{float(row[name]):.3g}" if row[name] else "" for name in names)
    effect = f"{d} ({low} to {high})" if d else "undefined"
    significant = {"true": "yes", "false": "no"}.get(row["significant"], "")
    return (f"[{row['name']}]({row['name']}/README.md)", before, after, effect, significant, "")


def _read(path: Path) -> pd.DataFrame:
    """A table's cells as text, by the experiment's name; empty where there is no table."""
    if not path.is_file():
        return pd.DataFrame(columns=["name"])
    return pd.read_csv(path, dtype=str, keep_default_na=False).set_index("name", drop=False)


def _make_own(folder: Path, mark: str) -> None:
    """Makes a folder, and refuses one with files in it that no publication has made."""
    others = folder.is_dir() and any(not LEFTOVER.fullmatch(path.name) for path in folder.iterdir())
    if others and not (folder / mark).is_file():
        raise InputError(f"{folder} holds other things, expected a new folder, or one with {mark}: name another.")
    folder.mkdir(parents=True, exist_ok=True)


def bundle(run: Path) -> None:
    """Writes the networks of `run/gan` as `gan/weights/landscapes.npz`, with `CARD.md` and `samples.png`.

    Raises:
        InputError: The run has not finished its stage `gan`, or its data is not the embedded set.
    """
    if not (run / "gan" / "done.json").exists():
        raise InputError(f"{run} has no finished stage gan: finish it with --stages gan --gan.generator train.")
    source = read_json(run / "config.json")["config"]["data.source"]
    if source != "landscapes":
        raise InputError(f"{run} was trained on {source}, expected landscapes: bundle another run.")
    devices.import_quietly()
    from pir_tf.gan.bundled import WEIGHTS, write_bundle
    from pir_tf.gan.sampling import draw_latents, generate
    from pir_tf.gan.saved import Networks

    networks = Networks.load(run / "gan")
    write_bundle(networks, WEIGHTS)
    z, labels = draw_latents(64, latent_size=64, class_count=len(networks.class_names), seed=0)
    labels.sort()
    save_png(WEIGHTS.with_name("samples.png"), grid(generate(networks.generator, z, labels), columns=16))
    _write(WEIGHTS.with_name("CARD.md"), card(run, WEIGHTS.stat().st_size))


def card(run: Path, size: int) -> str:
    """How the bundled weights were made, in Markdown; `size` of them in bytes."""
    fields = read_json(run / "config.json")["config"]
    measured = pd.read_csv(run / "gan" / "history.csv").dropna(subset="swd")
    best = measured.loc[measured["swd"].idxmin()]
    measure = f"sliced Wasserstein distance to 500 real images (`pir_tf.gan.swd`), the smallest of {len(measured)}"
    measure += f" measures, one every {fields['gan.sample_every']} steps: {best['swd']:.1f}"
    kept = f"{fields['gan.steps']:,} of {fields['gan.batch_size']} images; kept: step {best['step']:,.0f}"
    more = {"steps": kept, "measure": f"{measure} (the first: {measured['swd'].iloc[0]:.1f})"}
    return f"""# The bundled ACGAN (`landscapes.npz`)

Generator and discriminator of C.2 for the classes of the embedded landscapes, {size / 1e6:.1f} MB: matrices and kernels as
float16, vectors (biases and batch-normalization statistics) as float32. `pir_tf.gan.bundled` puts them into networks that are
built in code.

{facts_table(run, more)}

Random samples, not chosen (latents of seed 0), by class:

![64 samples](samples.png)
"""


def compare(folders: tuple[Path, ...]) -> None:
    """Prints published runs beside each other, as a table in Markdown."""
    print(comparison(folders))


def methods(ours: Path, papers: Path, folder: Path) -> None:
    """Puts our method beside the paper's, objective by objective, and prints the table by layer.

    Args:
        ours: A sweep, or a folder of published runs, with the linear estimator.
        papers: The same with the paper's method.
        folder: Where `both-methods.csv`, its figure and the table go.
    """
    print(both_methods.write(both_methods.both_methods([ours], [papers]), folder))


def costs(runs: Path, folder: Path) -> None:
    """Draws what a change costs: against KL and against the distance kept.

    Args:
        runs: A sweep, or a folder of published runs.
        folder: Where `costs.csv` and its figure go.
    """
    change_costs.write(change_costs.costs([runs]), folder)


def curves(measured: Path, folder: Path) -> None:
    """Adds the rows of `pir-tf tuning-curves`, in place of those of the same settings and steps, and draws the curves anew.

    Images stay in the first folder; their figure is published under its name, as `pictures-NAME.png`.

    Args:
        measured: Its folder.
        folder: A published one.

    Raises:
        InputError: The first has no rows, or the second holds something else.
    """
    devices.import_quietly()
    from pir_tf.experiments.tuning_curves import NAME, CurveRows

    if not (measured / f"{NAME}.csv").is_file():
        raise InputError(f"{measured} has no {NAME}.csv, expected a folder of pir-tf {NAME}: name it.")
    _make_own(folder, f"{NAME}.csv")
    rows = CurveRows(folder)
    rows.add_all(found := CurveRows(measured))
    rows.draw()
    found.draw_pictures(folder / f"pictures-{measured.name}.png")


def comparison(folders: Sequence[Path]) -> str:
    """Published runs beside each other, a row each, with what was measured of control and best of n, as a table in Markdown.

    Distance kept is that within the class that kept least; the rank correlation is the estimator's on new images.
    """
    return _markdown(COMPARED, (_compared(folder) for folder in folders))


def _compared(folder: Path) -> list[str]:
    config, results = read_json(folder / "config.json")["config"], read_json(folder / "results.json")
    quality = read_json(folder / "quality.json")["at_temperature"]
    best = results.get("best_of") or {}
    ds = [change_costs.d_alike(best.get(when)) for when in ("before", "after")]
    papers = results["objective"] and not departures(table([row_of(config, results)])).any()
    ratio, doubt = config.get("tuning.pir_gradient_ratio") or 0, config.get("estimator.pessimism") or 0
    weight = f"ratio {ratio:g}" if ratio else f"{config['tuning.pir_weight']:,.0f}"
    return [
        f"{results['objective']}, the paper's" if papers else f"[{folder.name}]({folder.name}/README.md)",
        f"{config['estimator.backbone']}" + (f", mean - {doubt:g} SD" if doubt else ""),
        f"{weight}, {config['tuning.steps']:,}",
        f"{number(results['cohens_d'], 2)} ({interval(results['cohens_d_interval'])})",
        f"{number(results['change'], signed=True)} ({number(results['estimated_change'], signed=True)})",
        number((results.get("control") or {}).get("cohens_d"), 2, missing=""),
        *(number(d, 2, missing="") for d in ds),
        number(change_costs.least_kept(results["diversity"]["after_over_before"]), 2, missing=""),
        number(quality["spearman"], 2),
    ]


COMPARED = (
    *("run", "features", "w_PIR, steps", "d (95% interval)", "true change (estimated)", "d of the control"),
    *("d of best of n, untouched", "d of best of n, tuned", "distance kept", "rank correlation"),
)


def presets_table() -> str:
    """Every field in which `laptop` differs from `paper`, but for the preset's own name, as a table in Markdown."""
    there, here = flatten(paper()), flatten(laptop())
    differ = [name for name in there if there[name] != here[name] and name != "preset"]
    return _markdown(("field", "`paper`", "`laptop`"), ((f"`{name}`", there[name], here[name]) for name in differ))


def _markdown(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = ["|".join(["", *(f" {cell} " if cell != "" else " " for cell in cells), ""]) for cells in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def _write(path: Path, text: str) -> None:
    with atomic(path) as beside:
        beside.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
