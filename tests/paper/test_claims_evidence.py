"""What a run's files say beside its results."""

import json

import pytest

from pir_tf.errors import InputError
from pir_tf.paper.claims.evidence import FACTS, read_facts

CONFIG = {"tuning.pir_weight": 1000.0}
ABOUT = {"config": CONFIG, "commit": "0123456789", "hardware": {"cores": 2, "machine": "x86_64"}}
QUALITY = {"at_temperature_1": {"bias": 0.001, "mean_absolute_error": 0.02}, "at_temperature": {"bias": -0.03}}
HISTORY = "step,L_fake_image_fools,L_PIR,gradient_fools,gradient_pir\n" + "\n".join(
    f"{step},{-1.0 - 0.1 * i},{0.5 + 0.01 * i},{'' if i % 2 else 2.0},{'' if i % 2 else 1.0}"
    for i, step in enumerate(range(5, 55, 5))
)
NOTHING = dict.fromkeys(FACTS) | {"commit": "", "hardware": "", "vgg": ""}


@pytest.fixture
def facts(tmp_path):
    """Writes files of a run and reads its facts."""

    def read(files, run=""):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_facts(tmp_path / run)

    return read


def test_a_run_directory(facts):
    seconds = {f"{stage}/done.json": {"seconds": value} for stage, value in (("gan", 10.0), ("tuning", 2.5))}
    logs = {"tuning/history.csv": HISTORY, "gan/history.csv": "step,swd\n1,300\n2,\n3,250.5\n"}
    about = {**ABOUT, "hardware": {**ABOUT["hardware"], "gpus": ["NVIDIA H100"]}}
    about["continued"] = [{"commit": "89abcdef01", "versions": {}}]
    found = facts({"config.json": about, "estimator/quality.json": QUALITY, **seconds, **logs})
    assert (found["commit"], found["hardware"]) == ("0123456 then 89abcde", "2 CPU cores (x86_64), 1 GPU (NVIDIA H100)")
    assert (found["seconds"], found["gan"]) == (12.5, None)
    assert [found[name] for name in ("bias", "bias_at_1", "error", "swd")] == [-0.03, 0.001, 0.02, 250.5]
    assert found["gradient_ratio"] == 0.5
    # Medians 0.545 and 1.45; the first and last fifth are two of ten rows each.
    assert found["loss_ratio"] == pytest.approx(1000 * 0.545 / 1.45)
    assert (found["pir_rise"], found["generator_loss_rise"]) == (pytest.approx(0.08), pytest.approx(0.8))


def test_weights_that_a_command_names(facts):
    names = ("vgg", "inception", "inception_range")
    read = lambda **config: facts({"config.json": {"config": config}})  # noqa: E731
    vgg = {"interactions.vgg_weights": "imagenet", "evaluation.kid_weights": "file:vgg.h5"}
    inception = {"estimator.weights": "hub:x", "estimator.input_range": [0.0, 1.0]}
    assert [read(**vgg, **inception)[name] for name in names] == ["file:vgg.h5", None, None]
    assert [read(**inception, **{"estimator.backbone": "inception_v3"})[name] for name in names] == ["", "hub:x", "0 1"]


def test_a_published_folder_and_a_shared_gan_that_counts_where_it_was_trained(facts):
    published = {"command": "", "commit": "", "hardware": "", "seconds": 68.5, "finished": None}
    found = facts({"config.json": ABOUT, "quality.json": QUALITY, "history.csv": HISTORY, "published.json": published})
    assert (found["commit"], found["hardware"]) == ("0123456", "2 CPU cores (x86_64)")
    assert (found["seconds"], found["bias"], found["gradient_ratio"], found["swd"]) == (68.5, -0.03, 0.5, None)
    found = facts(
        {"x/gan/done.json": {"seconds": 100.0, "trained_in": "gan/abc"}, "x/tuning/done.json": {"seconds": 3.5}}, "x"
    )
    assert found == NOTHING | {"seconds": 3.5, "gan": "gan/abc", "gan_seconds": 100.0}
    # A sweep's table has the seconds of runs that are not there.
    table = {"timings.csv": "name,seconds,gan_trained_in\ngan/abc,100.0,\nblue,3.5,gan/abc\nred,,\n"}
    foreign = {"x/timings.csv": "run,hours\nblue,3\n"}
    assert facts(foreign, "x/blue") == NOTHING
    assert facts(table, "blue") == found and facts({}, "red") == NOTHING == facts({}, "absent")


def test_what_is_absent_or_undefined_is_none(facts):
    log = "step,L_PIR,gradient_fools,gradient_pir\n5,0.5,0.0,1.0\n"
    assert facts({"tuning/history.csv": log, "gan/history.csv": ""}) == NOTHING


def test_a_damaged_file_is_refused(facts):
    with pytest.raises(InputError, match=r"history\.csv.* make it again"):
        facts({"history.csv": "step,step\n1,2\n"})
    with pytest.raises(InputError, match=r"config\.json.*not valid JSON"):
        facts({"config.json": "{"})
