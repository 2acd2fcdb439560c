"""Each claim's rule, decided each way by constructed experiments, and the rows that come of it."""

import dataclasses
import functools

import pytest
from claim_cases import CASES, EVERYTHING, SINGLES, filters, rows
from many_rows import experiment, whole

from pir_tf.paper.claims.evidence import Evidence, evidence_of
from pir_tf.paper.claims.list import CLAIMS
from pir_tf.paper.claims.measures import median_interval
from pir_tf.paper.claims.rules import VERDICTS, holds, mean_interval
from pir_tf.paper.claims.table import COLUMNS, counted, judge
from pir_tf.paper.collect import Collected
from pir_tf.paper.rows import COLUMNS as ROW_COLUMNS

COLUMN_NAMES = list(ROW_COLUMNS)
CAME_OUT = COLUMN_NAMES[COLUMN_NAMES.index("cohens_d") :]
MEASURED = [name for name in CAME_OUT if ROW_COLUMNS[name] is float]
BY_KEY = {said.key: claim for said, claim in CLAIMS.items()}
NOTHING = Evidence([])


@functools.cache
def decided(key):
    """The evidence of each of a claim's cases."""
    return [Evidence(case) for case in CASES[key]]


def judged(key, found, missing=()):
    return BY_KEY[key].judge(Evidence(found, missing))


def test_every_claim_has_a_case_for_each_verdict():
    assert len(BY_KEY) == len(CLAIMS) and CASES.keys() == BY_KEY.keys()
    assert {len(cases) for cases in CASES.values()} == {3}


@pytest.mark.parametrize("key", CASES)
def test_the_rule(key):
    for case, expected in zip(decided(key), VERDICTS, strict=False):
        verdict, found = BY_KEY[key].judge(case)
        assert verdict == expected, found
        assert found.ours and found.n > 0 and found.experiments
        assert "nan" not in found.ours and "None" not in found.ours
        if found.interval and found.value is not None:
            assert found.interval[0] <= found.value <= found.interval[1]
    verdict, found = BY_KEY[key].judge(NOTHING)
    assert verdict == "not run" and found.remark.startswith(("no runs of ", "no runs with ")) and found.n == 0


@pytest.mark.parametrize("none", ["loss_ratio", "gradient_ratio"])
def test_a_term_that_is_nothing_is_not_comparable(none):
    assert (
        judged("comparable terms", rows(EVERYTHING, **{"loss_ratio": 1.0, "gradient_ratio": 1.0, none: 0.0}))[0]
        != VERDICTS[0]
    )


@pytest.mark.parametrize("key", [key for key, claim in BY_KEY.items() if claim.enough])
def test_too_few_are_never_fully_reproduced(key):
    claim, case = BY_KEY[key], decided(key)[0]
    n = claim.judge(case)[1].n
    verdict, found = dataclasses.replace(claim, enough=n + 1).judge(case)
    assert verdict == "partly" and found.remark.startswith(f"only {n} of {n + 1} run") and claim.enough <= n


SATURATING = rows(SINGLES[:1] * 2, gan_loss=["non_saturating", "saturating"])
LACKING = {
    "1000 images": ("estimators from 1000 images", rows(SINGLES[:2], images=[2000, 10], impressions=[10, 9999])),
    "three colours at first": ("three colours at two lengths", rows(SINGLES)),
    "third channel falls": ("two colours with channel means", rows(["color:red-blue"])),
    "second round improves": ("second rounds of pool2", CASES["second round worse"][0]),
    "trade-off": ("three weights of PIR with diversity", CASES["trade-off"][0][:2]),
    "non-saturating": ("saturating with KID", SATURATING),
}


def test_what_is_lacking_is_said():
    for key, (what, found) in LACKING.items():
        verdict, said = judged(key, found)
        assert (verdict, said.remark) == ("not run", f"no runs of {what}"), key
    few = "only 10 objectives run, too few for a linear model (12)"
    assert judged("layer trend", rows(filters("pool1", 10, 20)))[1].remark == few


def missing(objective, status="not run", reason=""):
    return {**experiment(objective), "status": status, "reason": reason}


def test_remarks_say_why_it_was_not_run_or_proves_nothing_and_what_a_gain_cost(tmp_path):
    why = "fc6 needs VGG16's fully connected layers, which weights 'file' are taken to lack: use imagenet, or name it"
    remark = lambda key, *found: judged(key, [], found)[1].remark  # noqa: E731
    assert remark("raises vgg k=20 fc6", missing("vgg:fc6:k=20:seed=0", reason=why)) == (
        "weights not available offline (fc6 needs VGG16's fully connected layers, which weights 'file' are taken to lack)"
    )
    assert remark("raises vgg k=20 fc6", missing("vgg:fc7:k=20:seed=0", reason=why)) == "no runs of 20 filters of fc6"
    assert remark("raises single color", missing("color:red", "waiting")) == "not run yet"
    full = missing("color:red", "failed", "the disk is full: free some space")
    assert remark("raises single color", full) == "failed: the disk is full"
    # Where runs lack a measure, no missing one is the reason.
    verdict, found = judged("generator loss rises", rows(EVERYTHING), [missing("vgg:fc6:k=20:seed=0", reason=why)])
    assert (verdict, found.remark) == ("not run", "no runs with a log of tuning")
    everything = rows(EVERYTHING, initial_percent_nonzero=50.0)
    for key, found, remark in [
        *((key, everything, "without fc6, fc7, fc8") for key in ("raises all", "sparse layers")),
        ("layer trend", everything, "the outcome is the same in every row"),
        ("raises single color", rows(SINGLES, collapsed=True), "3 with collapse"),
    ]:
        assert judged(key, found)[1].remark.startswith(remark), key
    found = rows(["color:red"], preset="smoke") + rows(filters("pool1", 1), vgg_weights="none")
    evidence = evidence_of(Collected(found, {}, [], {row["experiment"]: tmp_path for row in found}, []))
    assert evidence.rows.empty
    assert BY_KEY["raises single color"].judge(evidence)[1].remark == "runs of size smoke prove nothing"
    assert BY_KEY["raises vgg single pool1"].judge(evidence)[1].remark == "random VGG16 weights prove nothing"


def test_image_sets_count_once_and_only_the_paper_s_method_counts():
    found = rows(SINGLES, distance_before=0.2, distance_real=[0.3 + 1e-9, 0.3, 0.3])
    _, said = judged("limited generator", found)
    assert said.n == 1 and said.interval is None and said.experiments == (found[0]["experiment"],)
    away = rows(SINGLES, -3.0, output="scalar")
    verdict, found = judged("raises single color", [*away, *whole()])
    assert (verdict, found.n) == ("reproduced", 3)
    assert judged("raises single color", away)[0] == "not run"


def test_numbers_and_bounds_by_hand():
    _, found = judged("raises vgg single pool1", rows(filters("pool1", 4), [1.0, 1.0, 1.0, 0.0]))
    # Wilson's interval of 3 of 4, and the mean of d 1, 1, 1, 0 with Student's t (3.1824 * 0.5 / 2).
    assert found.interval == pytest.approx((0.30064, 0.95441), abs=1e-4)
    assert found.ours == "3 of 4 improved (30% to 95%); mean d +0.75 (-0.05 to 1.55)"
    assert mean_interval([1.0, 1.0, 1.0, 0.0]) == pytest.approx((0.75 - 0.79561, 0.75 + 0.79561), abs=1e-4)
    assert mean_interval([1.0]) is None
    assert judged("raises vgg single pool1", rows(filters("pool1", 1), 1.0))[1].ours.endswith("d +1.00 (0.90 to 1.10)")
    # Of six values the extremes hold the median with probability 1 - 2 / 2^6; of 20 the 6th and the 15th.
    assert median_interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0]) == (1.0, 6.0)
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None and median_interval([]) is None
    assert median_interval([float(i) for i in range(1, 21)]) == (6.0, 15.0)
    for bound, within, beyond in [
        *(("at least half", 0.5, 0.49), ("at least two thirds", 2 / 3, 0.66), ("at least a third", 1 / 3, 0.33)),
        *(("more than half", 0.51, 0.5), ("at most a quarter", 0.25, 0.26), ("less than 0.001", 0.0009, 0.001)),
        *(
            ("all", 1.0, 0.99),
            ("at least one", 0.01, 0.0),
            ("at least 1", 1.0, float("nan")),
            ("less than 0", -1.0, None),
        ),
    ]:
        assert holds(within, bound) and not holds(beyond, bound), bound


@pytest.mark.slow
def test_rows_have_every_column_and_how_they_were_made():
    facts = {"inception": "file:inception.h5", "inception_range": "0 1", "vgg": "file:vgg.h5", "commit": "0123456"}
    facts |= {"hardware": "2 CPU cores (x86_64)", "seconds": 60.0, "gan": "gan/1", "gan_seconds": 30.0}
    table = judge(Evidence(rows(EVERYTHING, **facts)))
    assert all(list(row) == list(COLUMNS) for row in table)
    row, fc6 = (next(row for row in table if row["key"] == f"raises {key}") for key in ("single color", "vgg k=20 fc6"))
    assert row["command"] == (
        "pir-tf sweep colors --size laptop --inception-weights file:inception.h5 --inception-range 0 1 --vgg-weights file:vgg.h5"
    )
    assert (row["commit"], row["hardware"], row["runs"]) == ("0123456", "2 CPU cores (x86_64)", 3)
    assert row["seconds"] == 3 * 60.0 + 30.0  # the GAN that the three share counts once
    assert (fc6["verdict"], fc6["commit"], fc6["seconds"], fc6["runs"]) == ("not run", "", None, 0)
    assert fc6["command"] == "pir-tf sweep vgg-multi --size laptop"
    assert sum(counted(table).values()) == len(table) == len(CLAIMS)
    five = judge(Evidence(rows(SINGLES + EVERYTHING[9:11], commit=[f"{i}" * 7 for i in range(5)])))
    row = next(row for row in five if row["key"] == "raises all")
    assert row["commit"] == "5 of them, 0000000 to 4444444" and row["seconds"] is None


@pytest.mark.slow
def test_the_command_names_suites_that_have_other_experiments_of_the_claim():
    found = rows(SINGLES)
    suites = {row["experiment"]: ("iteration", "ablations") for row in found}
    suites[found[0]["experiment"]] = ("colors", "ablations")
    command = {row["key"]: row["command"] for row in judge(Evidence(found, suites=suites))}
    assert command["raises single color"].startswith("pir-tf sweep colors iteration --size")
    assert "iteration" not in judge(Evidence(found))[0]["command"]


EVERY = [row for key in ("raises all", "trade-off", "bins", "temperature") for row in CASES[key][0]]
CHANGED = [*(dict.fromkeys(MEASURED[i::6]) for i in range(6)), *(dict.fromkeys(MEASURED, x) for x in (0.0, 1.0))]


@pytest.mark.slow
@pytest.mark.parametrize("changed", CHANGED)
def test_measures_that_are_missing_or_constant_break_nothing(changed):
    """Whatever is undefined or the same in all experiments, each claim still gets a verdict in plain words."""
    for row in judge(Evidence([{**one, **changed} for one in EVERY])):
        assert row["verdict"] in VERDICTS and "nan" not in row["ours"] and "None" not in row["ours"], row
