"""Written reports of synthetic runs, each made once a session: drawing takes a second or two."""

import json

import pytest
from synthetic_run import results, write_run

from pir_tf.report.page import write_report


@pytest.fixture(scope="session")
def gain(tmp_path_factory):
    """The page of a run with everything: measured, judged, pretrained here."""
    return write_report(write_run(tmp_path_factory.mktemp("gain"), gan_history=True))


@pytest.fixture(scope="session")
def unmeasured(tmp_path_factory):
    """The page of a run with real people, none of whom has judged the new images; no second judge."""
    kid = {"reason": "No weights of VGG16 were named."}
    return write_report(write_run(tmp_path_factory.mktemp("open"), measured=False, judge=False, kid=kid))


@pytest.fixture(scope="session")
def undefined(tmp_path_factory):
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
    return write_report(path)
