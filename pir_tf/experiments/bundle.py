"""`python -m pir_tf.experiments.bundle RUN`: turns a finished pretraining run into the weights that the package carries.

Writes the array file and, beside it, the card of how it was made, from the run's own files.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pir_tf.commands import fail
from pir_tf.errors import InputError
from pir_tf.report.numbers import gpus
from pir_tf.runs import provenance
from pir_tf.runs.directory import atomic, read_json
from pir_tf.training import devices


def main(arguments: list[str] | None = None) -> int:
    """Writes `gan/weights/landscapes.npz`, `CARD.md` and `samples.png`.

    Returns:
        0, or 2 for a user's mistake.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if len(words) != 1:
            raise InputError(
                f"{len(words)} words were given, expected one: the directory of a finished pretraining run."
            )
        bundle(Path(words[0]))
    except InputError as error:
        fail(str(error))
        return 2
    return 0


def bundle(run: Path) -> None:
    """Bundles the networks of `run/gan`.

    Raises:
        InputError: the run has not finished its stage `gan`, or its data is not the embedded set.
    """
    if not (run / "gan" / "done.json").exists():
        raise InputError(f"{run} has no finished stage gan: finish it with --stages gan --gan.generator train.")
    devices.import_quietly()
    from pir_tf.gan.bundled import WEIGHTS, write_bundle
    from pir_tf.gan.sampling import draw_latents, generate
    from pir_tf.gan.saved import Networks
    from pir_tf.images import grid, save_png

    config = read_json(run / "config.json")
    if config["config"]["data.source"] != "landscapes":
        raise InputError(
            f"{run} was trained on {config['config']['data.source']}, expected landscapes: bundle another run."
        )
    networks = Networks.load(run / "gan")
    write_bundle(networks, WEIGHTS)
    z, labels = draw_latents(64, latent_size=64, class_count=len(networks.class_names), seed=0)
    labels.sort()
    save_png(WEIGHTS.with_name("samples.png"), grid(generate(networks.generator, z, labels), columns=16))
    with atomic(WEIGHTS.with_name("CARD.md")) as beside:
        beside.write_text(card(run, WEIGHTS.stat().st_size), encoding="utf-8")


def card(run: Path, size: int) -> str:
    """How the bundled weights were made, in Markdown."""
    import csv

    config, facts = read_json(run / "config.json"), read_json(run / "gan" / "done.json")
    fields = config["config"]
    with open(run / "gan" / "history.csv", newline="", encoding="utf-8") as handle:
        measured = [(float(row["swd"]), int(row["step"])) for row in csv.DictReader(handle) if row["swd"]]
    distance, step = min(measured)
    machine = config["hardware"]
    hardware = f"{machine['system']}, {machine['machine']}, {machine['cores']} cores, {gpus(machine) or 'no GPU'}"
    command = f"python -m pir_tf.experiments.run {fields['preset']} --stages gan --gan.generator train"
    command += f" --data.count {fields['data.count']} --gan.steps {fields['gan.steps']}"
    measure = f"sliced Wasserstein distance to 500 real images (`pir_tf.gan.swd`), the smallest of {len(measured)}"
    measure += (
        f" measures, one every {fields['gan.sample_every']} steps: {distance:.1f} (the first: {measured[0][0]:.1f})"
    )
    rates = f"{fields['gan.generator_learning_rate']} (Adam, beta_1 {fields['gan.adam_beta_1']})"
    rates += f" and {fields['gan.discriminator_learning_rate']} (RMSProp)"
    if fields["gan.decay_steps"]:
        rates += f", falling linearly to 0 in the last {fields['gan.decay_steps']:,} steps"
    rows = {
        "command": f"`{command}`",
        "commit": provenance.commits(config) or "unknown",
        "seed": fields["seed"],
        "steps": f"{fields['gan.steps']:,} of {fields['gan.batch_size']} images; kept: step {step:,}",
        "measure": measure,
        "learning rates": rates,
        "time of the last process": f"{facts['seconds'] / 60:.0f} minutes",
        "hardware": hardware,
        "versions": ", ".join(f"{name} {version}" for name, version in provenance.versions(config).items() if version),
        "finished": facts["finished"],
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""# The bundled ACGAN (`landscapes.npz`)

Generator and discriminator of C.2 for the classes of the embedded landscapes, {size / 1e6:.1f} MB: matrices and kernels as
float16, vectors (biases and batch-normalization statistics) as float32. `pir_tf.gan.bundled` puts them into networks that are
built in code.

| | |
|---|---|
{table}

Random samples, not chosen (latents of seed 0), by class:

![64 samples](samples.png)
"""


if __name__ == "__main__":
    sys.exit(main())
