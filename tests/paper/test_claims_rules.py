"""Each claim's rule, decided each way by constructed experiments, and the rows that come of it."""

import dataclasses

import pytest
from claim_cases import CASES, EVERYTHING, everything, second_rounds, with_facts
from many_rows import experiment, whole

from pir_tf.paper.claims.evidence import Facts
from pir_tf.paper.claims.judge import CLAIMS, COLUMNS, counted, evidence_of, judge
from pir_tf.paper.claims.rules import VERDICTS, Evidence, decide, mean_interval, median_interval, share_interval
from pir_tf.paper.collect import Collected
from pir_tf.paper.rows import COLUMNS as ROW_COLUMNS

_CAME_OUT = list(ROW_COLUMNS)[list(ROW_COLUMNS).index("pir_before") :]
MEASURED = [name for name in _CAME_OUT if ROW_COLUMNS[name] is float]
"""Columns of measured numbers."""

BY_KEY = {claim.key: claim for claim in CLAIMS}


def test_every_claim_has_a_case_for_each_verdict():
    assert len(BY_KEY) == len(CLAIMS) and CASES.keys() == BY_KEY.keys()
    for key, cases in CASES.items():
        assert {"reproduced", "partly", "not"} <= cases.keys(), key


@pytest.mark.parametrize(("key", "case"), [(key, case) for key, cases in CASES.items() for case in cases])
def test_the_rule(key, case):
    found = BY_KEY[key].judge(CASES[key][case])
    assert found.verdict == case.partition(",")[0], found
    if found.verdict != "not run":
        assert found.ours and found.n > 0 and found.experiments
        assert "nan" not in found.ours and "None" not in found.ours
        if found.interval and found.value is not None:
            assert found.interval[0] <= found.value <= found.interval[1]
    else:
        assert found.remark and not found.experiments


@pytest.mark.parametrize("key", BY_KEY)
def test_without_experiments_it_is_not_run_and_says_of_what(key):
    found = BY_KEY[key].judge(Evidence([]))
    assert found.verdict == "not run" and found.remark.startswith(("no runs of ", "no runs with ")) and found.n == 0


def missing(objective, status="not run", reason="", **changes):
    return {**experiment(objective, **changes), "status": status, "reason": reason}


def test_the_sweep_s_reason_is_the_claim_s():
    why = "fc6 needs VGG16's fully connected layers, which weights 'file' are taken to lack: use imagenet, or name it"
    found = BY_KEY["raises vgg k=20 fc6"].judge(Evidence([], [missing("vgg:fc6:k=20:seed=0", reason=why)]))
    assert found.remark.startswith("weights not available offline (fc6 needs VGG16's fully connected layers")
    assert "use imagenet" not in found.remark
    other = Evidence([], [missing("vgg:fc7:k=20:seed=0", reason=why)])
    assert BY_KEY["raises vgg k=20 fc6"].judge(other).remark == "no runs of 20 filters of fc6"
    open_run = Evidence([], [missing("color:red", "waiting")])
    assert BY_KEY["raises single color"].judge(open_run).remark == "not run yet"
    failed = Evidence([], [missing("color:red", "failed", "the disk is full: free some space")])
    assert BY_KEY["raises single color"].judge(failed).remark == "failed: the disk is full"


def test_where_runs_lack_a_measure_no_missing_run_is_the_reason():
    other = [missing("vgg:fc6:k=20:seed=0", reason="fc6 needs weights")]
    found = BY_KEY["generator loss rises"].judge(Evidence(everything(), other))
    assert (found.verdict, found.remark) == ("not run", "no runs with a log of tuning")
    # A first round is no second one.
    waiting = [missing("vgg:pool2:filters=0", "waiting", first_round="one")]
    assert BY_KEY["second round less"].judge(Evidence(everything(), waiting)).remark == "not run yet"


def test_the_command_names_the_suites_of_all_of_its_experiments():
    rows = everything()
    suites = {row["experiment"]: ("iteration", "ablations") for row in rows}
    first = next(row["experiment"] for row in rows if row["kind"] == "single color")
    suites[first] = ("colors", "ablations")
    found = {row["key"]: row["command"] for row in judge(Evidence(rows, suites=suites))}
    assert found["raises single color"].startswith("pir-tf sweep colors iteration --size")
    assert judge(Evidence(rows))[0]["command"].count("iteration") == 0


def test_image_sets_that_differ_in_rounding_count_once():
    rows = [{**row, "distance_before": 0.2, "distance_real": 0.3} for row in everything()]
    rows[0] = {**rows[0], "distance_real": 0.3 + 1e-9}
    found = BY_KEY["limited generator"].judge(Evidence(rows))
    assert found.n == 1 and found.interval is None and found.experiments == (rows[0]["experiment"],)


def test_layers_that_were_not_run_are_said():
    assert BY_KEY["raises all"].judge(Evidence(everything())).remark == "without fc6, fc7, fc8"
    assert "without fc6, fc7, fc8" in BY_KEY["sparse layers"].judge(Evidence(everything())).remark


def test_only_the_paper_s_method_counts_where_nothing_is_compared():
    away = [
        experiment(f"color:{name}", -3.0, name=f"x-{name}", estimator__output="scalar")
        for name in ("red", "green", "blue")
    ]
    found = BY_KEY["raises single color"].judge(Evidence([*away, *whole()]))
    assert (found.verdict, found.n) == ("reproduced", 3)
    assert BY_KEY["raises single color"].judge(Evidence(away)).verdict == "not run"


def test_a_gain_that_cost_the_variety_is_said():
    flat = {"diversity": {"collapsed": [True, False]}}
    rows = [experiment(f"color:{name}", 3.0, measured=flat) for name in ("red", "green", "blue")]
    assert BY_KEY["raises single color"].judge(Evidence(rows)).remark == "3 with collapse"


def test_numbers_by_hand():
    found = BY_KEY["raises vgg single pool1"].judge(CASES["raises vgg single pool1"]["reproduced"])
    # Wilson's interval of 3 of 4, and the mean of d 1, 1, 1, 0 with Student's t (3.1824 * 0.5 / 2).
    assert found.interval == pytest.approx((0.30064, 0.95441), abs=1e-4)
    assert found.ours == "3 of 4 improved (30% to 95%); mean d +0.75 (-0.05 to 1.55)"
    assert mean_interval([1.0, 1.0, 1.0, 0.0]) == pytest.approx((0.75 - 0.79561, 0.75 + 0.79561), abs=1e-4)
    assert mean_interval([1.0]) is None
    assert share_interval(0, 3)[0] == 0.0
    # Of six values the extremes hold the median with probability 1 - 2 / 2^6; of 20 the 6th and the 15th.
    assert median_interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0]) == (1.0, 6.0)
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None and median_interval([]) is None
    assert median_interval([float(i) for i in range(1, 21)]) == (6.0, 15.0)


def test_too_few_are_never_fully_reproduced():
    assert decide(True, True) == "reproduced" and decide(True, False, enough=False) == "partly"
    assert decide(False, True, enough=False) == "partly" and decide(False, False) == "not"


def test_the_bias_by_temperature_falls_back_on_pairs_of_runs():
    rows = []
    for i in range(4):
        for name, temperature, mean in (("a", 0.01, 0.47 - 0.001 * i), ("b", 1.0, 0.5)):
            row = experiment("color:blue", name=f"{name}{i}", estimator__temperature=temperature, seed=i)
            rows.append({**row, "estimator_bias": mean - 0.5})
    found = BY_KEY["bias by temperature"].judge(Evidence(rows))
    assert (found.verdict, found.n, found.remark) == ("reproduced", 4, "pairs of runs")
    assert found.value == pytest.approx(-0.0315)


def test_rows_have_every_column_and_how_they_were_made():
    config = {
        "estimator.backbone": "inception_v3",
        "estimator.weights": "file:inception.h5",
        "estimator.input_range": [0.0, 1.0],
        "interactions.vgg_weights": "imagenet",
        "evaluation.kid_weights": "file:vgg.h5",
    }
    facts = Facts(config=config, commit="0123456", hardware="2 CPU cores (x86_64)", seconds=60.0, gan=("gan/1", 30.0))
    evidence = with_facts(everything(), [facts] * len(EVERYTHING))
    rows = judge(evidence)
    assert all(list(row) == list(COLUMNS) for row in rows)
    row = next(row for row in rows if row["key"] == "raises single color")
    assert row["command"] == (
        "pir-tf sweep colors --size laptop --inception-weights file:inception.h5 --inception-range 0 1 --vgg-weights file:vgg.h5"
    )
    assert (row["commit"], row["hardware"], row["runs"]) == ("0123456", "2 CPU cores (x86_64)", 3)
    assert row["seconds"] == 3 * 60.0 + 30.0  # the GAN that the three share counts once
    fc6 = next(row for row in rows if row["key"] == "raises vgg k=20 fc6")
    assert (fc6["verdict"], fc6["commit"], fc6["seconds"], fc6["runs"]) == ("not run", "", None, 0)
    assert fc6["command"] == "pir-tf sweep vgg-multi --size laptop"
    assert sum(counted(rows).values()) == len(rows) == len(CLAIMS)


def test_many_commits_are_counted():
    rows = everything()[:5]
    facts = [Facts(commit=f"{i}" * 7) for i in range(5)]
    row = next(row for row in judge(with_facts(rows, facts)) if row["key"] == "raises all")
    assert row["commit"] == "5 of them, 0000000 to 4444444" and row["seconds"] is None


def test_smoke_runs_and_random_filters_prove_nothing(tmp_path):
    smoke = experiment("color:red", 3.0, preset="smoke")
    random = experiment("vgg:pool1:filters=3", 3.0, interactions__vgg_weights="none")
    rows = [{**row, "experiment": f"x{i}"} for i, row in enumerate((smoke, random))]
    places = {row["experiment"]: tmp_path for row in rows}
    evidence = evidence_of(Collected(rows, {}, [], places, []))
    assert evidence.rows == []
    assert BY_KEY["raises single color"].judge(evidence).remark == "runs of size smoke prove nothing"
    assert BY_KEY["raises vgg single pool1"].judge(evidence).remark == "random VGG16 weights prove nothing"


def test_the_order_of_experiments_changes_nothing():
    rows = [*whole(), *second_rounds("pool2", [(1.0, 1.2)] * 4)]
    names = {row["key"]: row["verdict"] for row in judge(Evidence(rows))}
    assert {row["key"]: row["verdict"] for row in judge(Evidence(rows[::-1]))} == names
    assert judge(Evidence(rows)) == judge(Evidence(rows))


def test_claims_say_what_they_are():
    for claim in CLAIMS:
        words = (claim.section, claim.text, claim.paper, claim.reproduced, claim.partly, claim.suite)
        assert all(words) and not any("|" in text or "\n" in text for text in words), claim.key
    assert dataclasses.asdict(BY_KEY["layer trend"])["paper"].startswith("beta -0.13 per layer, t = -7.8")


def test_a_measure_that_is_missing_everywhere_breaks_nothing():
    """Whatever column is empty or undefined in all experiments, each claim still gets a verdict in plain words."""
    rows = [row for cases in CASES.values() for row in cases["reproduced"].rows if row["kind"] != "vgg k=20"]
    rows = list({row["experiment"]: row for row in rows}.values())
    for name in MEASURED:
        for row in judge(Evidence([{**one, name: None} for one in rows])):
            assert row["verdict"] in VERDICTS and "nan" not in row["ours"] and "None" not in row["ours"], (name, row)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_measures_break_nothing(value):
    rows = [row | dict.fromkeys(MEASURED, value) for row in everything()]
    for row in judge(Evidence(rows)):
        assert row["verdict"] in VERDICTS and "nan" not in row["ours"], row
