"""Written reports of synthetic runs, each made once a session; the first is drawn as users have it, the others coarsely."""

import json

import drawing
import pandas as pd
import pytest
from synthetic_run import results, write_run

from pir_tf.report.page import write_report


@pytest.fixture(scope="session")
def gain(tmp_path_factory):
    """The page of a second round with everything: judged, KID, the saturating loss, odd class names, other versions."""
    kid = {"network": "VGG16 pool5, weights imagenet", "real_images": 300, "block_size": 100, "blocks": 3}
    kid |= {
        "before": -0.0123,
        "after": 4.5678,
        "before_se": 0.00456,
        "after_se": 0.11,
        "reason": None,
        "control": 0.25,
        "control_se": 0.02,
    }
    first = {"run": "blue", "pir_before_mean": 0.561, "pir_after_mean": 0.702, "cohens_d": 2.31}
    changes = {"first_round": first, "cohens_d_from_start": 3.14, "cohens_d_from_start_interval": None, "round": 2}
    changes |= {"kid": kid, "class_names": ["山脈", "coast"], "estimate_rose": False}
    path = write_run(tmp_path_factory.mktemp("gain"), gan_history=True, **changes)
    about = json.loads((path / "config.json").read_text())
    about["config"]["first_round"] = "blue"
    about["continued"] = [{"commit": "0a1b2c3", "versions": {"python": "3.11.9", "keras": "3.11.0"}}]
    (path / "config.json").write_text(json.dumps(about))
    history = pd.read_csv(path / "tuning" / "history.csv").assign(L_saturating=0.7)
    history.to_csv(path / "tuning" / "history.csv", index=False)
    return write_report(path)


@pytest.fixture(scope="session")
def coarse_report():
    """A function that writes a report."""

    def write(path):
        with pytest.MonkeyPatch.context() as patch:
            drawing.coarsely(patch.setattr)
            return write_report(path)

    return write


@pytest.fixture(scope="session")
def unmeasured(coarse_report, tmp_path_factory):
    """The page of a run with real people, none of whom has judged the new images; no second judge."""
    kid = {"reason": "No weights of VGG16 were named."}
    return coarse_report(write_run(tmp_path_factory.mktemp("open"), measured=False, judge=False, kid=kid))


@pytest.fixture(scope="session")
def undefined(coarse_report, tmp_path_factory):
    """The page of a collapse with an odd objective and every number that can be null at null; no log of tuning."""
    diversity = results()["diversity"]
    diversity["collapsed"], diversity["after_over_before"] = [True, None], [0.31, None]
    diversity["after"] = {**diversity["after"], "distance": [0.07, None], "ms_ssim": [0.8, None]}
    true = {**results()["true"], "cohens_d": None, "cohens_d_interval": None, "welch_t": None, "p_value": None}
    path = write_run(
        tmp_path_factory.mktemp("undefined"),
        **dict.fromkeys(("cohens_d", "cohens_d_interval", "welch_t", "p_value", "significant")),
        **dict.fromkeys(("initial_sd", "initial_percent_zero")),
        verdict="undefined",
        true=true,
        diversity=diversity,
        objective="custom:<b>bold</b>",
        note="More than half of the PIRs before & after are exactly 0 or 1.",
        class_names=["mountain <i>", "$coast$"],
    )
    (path / "tuning" / "history.csv").unlink()
    quality = {"n": 1, "spearman": None, "mean_absolute_error": None, "bias": None, "sd_predicted": None}
    quality |= {"sd_true": None, "calibration": [], "undefined": {"spearman": "the true PIR is constant"}}
    (path / "estimator" / "quality.json").write_text(
        json.dumps({"temperature": 0.01, "at_temperature_1": quality, "at_temperature": quality})
    )
    return coarse_report(path)
