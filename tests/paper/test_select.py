"""Which experiments stand beside each other in a figure."""

from many_rows import experiment, whole

from pir_tf.paper.select import by_the_paper, comparisons, departures, second_rounds, trade_offs
from pir_tf.paper.tasks import GROUPS, group_of, is_significant, objective_in_words, significance_in_words

SHORT = {"tuning__steps": 15}


def names(rows):
    return [row["experiment"] for row in rows]


def pairs(rows):
    return [
        (comparison.field, base["experiment"], other["experiment"]) for comparison, base, other in comparisons(rows)
    ]


def test_every_experiment_of_the_paper_s_method_is_taken_once():
    rows = whole()
    assert by_the_paper(rows) == rows
    # The same objective from another seed is another experiment.
    again = [*rows, experiment("color:blue", name="again", seed=1)]
    assert names(by_the_paper(again))[-1] == "again"


def test_other_settings_than_the_paper_s_are_left_to_the_comparisons():
    for change, field in (
        ({"tuning__pir_weight": 30.0}, "pir_weight"),
        ({"tuning__fools_weight": 0.0}, "fools_weight"),
        ({"gan__fake_class_weight": 0.0}, "fake_class_weight"),
        ({"estimator__output": "scalar"}, "output"),
        ({"estimator__temperature": 1.0}, "temperature"),
        ({"interactions__scaling": "normalized"}, "scaling"),
        ({"gan__loss": "saturating"}, "gan_loss"),
        ({"gan__kind": "gan"}, "gan_kind"),
        ({"first_round": "one"}, "round"),
    ):
        row = experiment(**change)
        assert departures(row) == [field]
        assert by_the_paper([row]) == []
    assert departures(experiment()) == []
    random = experiment("vgg:pool1:k=1", interactions__vgg_weights="none")
    assert departures(random) == ["vgg_weights"]


def test_an_objective_that_was_run_at_several_sizes_counts_with_the_common_one():
    common = [experiment(f"vgg:pool1:filters={i}", estimator__trainable="head") for i in range(3)]
    tuned = experiment("vgg:pool1:filters=1", name="fine-tuned", estimator__trainable="all")
    assert names(by_the_paper([tuned, *common])) == [
        "vgg-pool1-filters=1",
        "vgg-pool1-filters=0",
        "vgg-pool1-filters=2",
    ]
    assert "fine-tuned" not in names(by_the_paper([*common, tuned]))


def test_three_colours_count_after_their_longest_tuning_and_others_after_the_usual():
    long = {"tuning__steps": 1500}
    three = experiment("color:red-green-blue", name="3"), experiment("color:red-green-blue", name="3 long", **long)
    assert names(by_the_paper(three)) == names(by_the_paper(three[::-1])) == ["3 long"]
    single = [experiment("color:red"), experiment("color:blue"), experiment("color:blue", name="long", **long)]
    assert names(by_the_paper(single)) == ["color-red", "color-blue"]


def test_pairs_differ_in_one_setting_alone():
    base = experiment(name="base")
    scalar = experiment(name="scalar", estimator__output="scalar")
    hot = experiment(name="hot", estimator__temperature=1.0)
    both = experiment(name="both", estimator__temperature=1.0, gan__loss="saturating")
    other = experiment("color:red", name="red scalar", estimator__output="scalar")
    seed = experiment(name="seed", seed=5, estimator__output="scalar")
    found = pairs([other, both, hot, scalar, base, seed])
    assert sorted(found) == [("gan_loss", "hot", "both"), ("output", "base", "scalar"), ("temperature", "base", "hot")]


def test_fine_tuning_may_have_its_own_length_and_long_tuning_is_the_second_side():
    head = experiment("vgg:pool1:k=1", name="head", estimator__trainable="head")
    whole_one = experiment("vgg:pool1:k=1", name="whole", estimator__trainable="all", estimator__steps=7)
    assert pairs([whole_one, head]) == [("trainable", "head", "whole")]
    elsewhere = experiment("vgg:pool1:k=1", name="other layer", estimator__trainable="all", estimator__layer="mixed2")
    assert pairs([elsewhere, head]) == []
    long = experiment("color:red-green-blue", name="long", tuning__steps=1500)
    assert pairs([long, experiment("color:red-green-blue", name="short")]) == [("tuning_steps", "short", "long")]


def test_the_bundled_generator_s_training_is_no_setting():
    a, b = experiment(name="a", gan__steps=1), experiment(name="b", gan__steps=2, estimator__output="scalar")
    assert pairs([a, b]) == [("output", "a", "b")]
    trained = {"gan__generator": "train"}
    a, b = (
        experiment(name="a", gan__steps=1, **trained),
        experiment(name="b", gan__steps=2, gan__loss="saturating", **trained),
    )
    assert pairs([a, b]) == []


def test_a_trade_off_rises_with_the_weight_and_ends_without_the_generator_s_loss():
    curve = [experiment(name=str(weight), tuning__pir_weight=float(weight)) for weight in (1000, 0, 30)]
    extreme = experiment(name="extreme", tuning__fools_weight=0.0, gan__fake_class_weight=0.0)
    alone = experiment("color:red", name="red")
    measured = {"kid": {"before": 0.1, "after": 0.2}}
    again = experiment(name="1000 with KID", tuning__pir_weight=1000.0, measured=measured)
    found = trade_offs([extreme, *curve, alone, again])
    assert [names(group) for group in found] == [["0", "30", "1000 with KID", "extreme"]]
    assert trade_offs(whole()) == []


def test_second_rounds_need_both_effect_sizes():
    known = {"first_round": {"cohens_d": 1.0}, "cohens_d_from_start": 1.2}
    good = experiment(name="good", first_round="x", measured=known)
    bad = experiment(name="bad", first_round="x")
    assert names(second_rounds([good, bad, experiment()])) == ["good"]


def test_every_row_of_the_paper_has_a_column():
    assert {group_of(row) for row in whole()} == {group for group in GROUPS if group.layer not in ("fc6", "fc7", "fc8")}
    assert group_of(experiment("vgg:pool1:k=5")) is None
    assert len({(group.color, group.marker) for group in GROUPS}) == len(GROUPS)


def test_significance_is_at_the_paper_s_threshold():
    assert is_significant({"p_value": 0.0009}) and not is_significant({"p_value": 0.001})
    assert not is_significant({"p_value": None})
    rows = [{"p_value": 0.0}, {"p_value": 0.5}]
    assert significance_in_words(rows).startswith("1 is pale")
    assert significance_in_words(rows[:1]).startswith("all changes are significant")
    assert significance_in_words(rows[1:]).startswith("all are pale")


def test_objectives_in_words():
    assert objective_in_words("color:red-blue") == "red left, blue right"
    assert objective_in_words("color:red-green-blue", short=True) == "red-green-blue"
    assert objective_in_words("color:blue") == "blue"
    assert objective_in_words("vgg:pool3:filters=12") == "pool3 filter 12"
    assert objective_in_words("vgg:pool3:filters=12,40") == "pool3 filters 12 and 40"
    assert objective_in_words("vgg:pool3:k=20:seed=2") == "pool3, 20 filters, draw 2"
    assert objective_in_words("") == "people's answers"
