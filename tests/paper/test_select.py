"""Which experiments stand beside each other in a figure."""

import pytest
from many_rows import experiment, whole

from pir_tf.paper.rows import records, table
from pir_tf.paper.select import TASKS, by_the_paper, comparisons, departures, second_rounds, trade_offs


def names(rows):
    return list(rows["experiment"])


def shown(*rows):
    return names(by_the_paper(table(rows)))


def pairs(*rows):
    found = comparisons(table(rows))
    assert list(found["pair"]) == [i // 2 + 1 for i in range(len(found))]
    return list(zip(found["field"][::2], found["experiment"][::2], found["experiment"][1::2], strict=True))


def test_every_experiment_of_the_paper_s_method_is_taken_once():
    rows = table(whole())
    found = by_the_paper(rows)
    assert records(found[rows.columns]) == records(rows)
    tasks = found[list(TASKS)].drop_duplicates().merge(TASKS)
    assert len(tasks) == len(TASKS) - 6 and not set(tasks["column"]) & {"fc6", "fc7", "fc8"}
    # Another seed is no other objective, and objectives that the paper hasn't, or without a true PIR, are none.
    blue = next(row for row in whole() if row["objective"] == "color:blue")
    again = [{**blue, "experiment": "again", "seed": 1}, *whole(), experiment("vgg:pool1:k=5")]
    unknown = experiment("color:green-red", name="unknown", seed=-1, measured={"change": None})
    assert shown(*again, unknown) == names(rows)
    assert names(by_the_paper(table(again), every_seed=True)) == ["again", *names(rows)]
    assert by_the_paper(rows.iloc[:0]).empty and list(by_the_paper(rows.iloc[:0])) == list(found)


@pytest.mark.slow
def test_other_settings_than_the_paper_s_are_left_to_the_comparisons():
    for field, change in (
        ("pir_weight", {"tuning__pir_weight": 30.0}),
        ("fools_weight and fake_class_weight", {"tuning__fools_weight": 0.0, "gan__fake_class_weight": 0.0}),
        ("temperature", {"estimator__temperature": 1.0}),
        ("scaling", {"interactions__scaling": "normalized"}),
        ("gan_loss", {"gan__loss": "saturating"}),
        ("vgg_weights", {"objective": "vgg:pool1:k=1", "interactions__vgg_weights": "none"}),
        ("round and gan_kind", {"gan__kind": "gan", "first_round": "one"}),
        # One scalar output has no softmax, so no temperature.
        ("output", {"estimator__output": "scalar", "estimator__temperature": 1.0}),
        ("output", {"estimator__output": "scalar", "estimator__temperature": 1.0, "estimator__scalar_start": "data"}),
        ("output and temperature", {"estimator__bin_range": "data", "estimator__temperature": 1.0}),
        ("output", {"estimator__bin_loss": "binomial"}),
        ("output", {"estimator__output": "linear", "estimator__backbone": "discriminator"}),
        ("pir_gradient_ratio", {"tuning__pir_gradient_ratio": 1.0}),
        ("pir_gradient_limit", {"tuning__pir_gradient_limit": 5.0}),
        ("tuning_stop", {"tuning__stop": "judge"}),
        ("keep_distance", {"tuning__keep_distance": 0.85}),
        ("tuning_kind", {"tuning__kind": "shift"}),
        ("", {}),
    ):
        row = experiment(**change)
        assert list(departures(table([row]))) == [field]
        assert shown(row) == ([] if field else ["color-blue"])


def test_an_objective_that_was_run_at_several_sizes_or_lengths_counts_with_the_common_one():
    common = [experiment(f"vgg:pool1:filters={i}", estimator__trainable="head") for i in range(3)]
    tuned = experiment("vgg:pool1:filters=1", name="fine-tuned", estimator__trainable="all")
    assert shown(tuned, *common) == ["vgg-pool1-filters=1", "vgg-pool1-filters=0", "vgg-pool1-filters=2"]
    assert "fine-tuned" not in shown(*common, tuned)
    long = {"tuning__steps": 1500}
    single = [experiment("color:red"), experiment("color:blue"), experiment("color:blue", name="long", **long)]
    assert shown(*single) == ["color-red", "color-blue"]
    # Three colours count after their longest tuning.
    three = experiment("color:red-green-blue", name="3"), experiment("color:red-green-blue", name="3 long", **long)
    assert shown(*three) == shown(*three[::-1]) == ["3 long"]


@pytest.mark.slow
def test_pairs_differ_in_one_setting_alone_but_for_what_goes_with_it():
    rows = [
        experiment("color:red", name="red scalar", estimator__output="scalar"),
        experiment(name="both", estimator__temperature=1.0, gan__loss="saturating"),
        experiment(name="hot", estimator__temperature=1.0),
        experiment(name="scalar", estimator__output="scalar"),
        experiment(name="base"),
        experiment(name="seed", seed=5, estimator__output="scalar"),
    ]
    assert pairs(*rows) == [
        ("output", "base", "scalar"),
        ("temperature", "base", "hot"),
    ]  # of "both" no base is the paper's
    ours = {"estimator__output": "linear"}
    linear = [experiment(name="linear", **ours), experiment(name="linear hot", estimator__temperature=1.0, **ours)]
    on_data = experiment(name="on data", estimator__output="scalar", estimator__scalar_start="data")
    fewer = experiment(name="fewer", estimator__temperature=1.0, interactions__images=200)
    imported = [
        experiment("color:red", name=f"import {i}", gan__generator="import:x.keras", gan__loss=loss)
        for i, loss in enumerate(("non_saturating", "saturating"))
    ]
    people = [
        experiment("", name=f"people {t}", interactions__source="csv:x.csv", estimator__temperature=t)
        for t in (1.0, 0.01)
    ]
    base = experiment(name="base")
    assert pairs(base, *linear, on_data, fewer, *imported, *people) == []
    # The bundled generator's training is no setting.
    for generator, found in (("bundled", [("output", "a", "b")]), ("train", [])):
        a = experiment(name="a", gan__generator=generator, gan__steps=1)
        b = experiment(name="b", gan__generator=generator, gan__steps=2, estimator__output="scalar")
        assert pairs(a, b) == found
    head = experiment("vgg:pool1:k=1", name="head", estimator__trainable="head")
    whole_one = experiment("vgg:pool1:k=1", name="whole", estimator__trainable="all", estimator__steps=7)
    assert pairs(whole_one, head) == [("trainable", "head", "whole")]
    elsewhere = experiment("vgg:pool1:k=1", name="other layer", estimator__trainable="all", estimator__layer="mixed2")
    assert pairs(elsewhere, head) == []
    long = experiment("color:red-green-blue", name="long", tuning__steps=1500)
    assert pairs(long, experiment("color:red-green-blue", name="short")) == [("tuning_steps", "short", "long")]


def test_second_rounds_are_of_the_paper_s_method():
    known = {"first_round": {"cohens_d_from_start": 1.0}, "cohens_d_from_start": 1.5}
    second = {"first_round": "one", "measured": known}
    rows = [experiment(name="ours", estimator__output="linear", **second), experiment(name="first")]
    assert names(second_rounds(table([*rows, experiment(name="second", **second)]))) == ["second"]


def test_a_trade_off_rises_with_the_weight_and_ends_without_the_generator_s_loss():
    curve = [experiment(name=str(weight), tuning__pir_weight=float(weight)) for weight in (1000, 0, 30)]
    extreme = experiment(name="extreme", tuning__fools_weight=0.0, gan__fake_class_weight=0.0)
    alone = experiment("color:red", name="red")
    measured = {"kid": {"before": 0.1, "after": 0.2}}
    again = experiment(name="1000 with KID", tuning__pir_weight=1000.0, measured=measured)
    found = trade_offs(table([extreme, *curve, alone, again]))
    assert names(found) == ["0", "30", "1000 with KID", "extreme"] and set(found["curve"]) == {1}
    assert trade_offs(table(whole())).empty
    linear = [experiment(name=str(w), estimator__output="linear", tuning__pir_weight=float(w)) for w in (0, 30, 1000)]
    assert trade_offs(table(linear)).empty
