"""The paper's claims in the paper's order: its words and number, how the same is measured here, and the rule. No TensorFlow."""

from __future__ import annotations

from collections import Counter

from pir_tf.objective_names import COLOR_KINDS
from pir_tf.paper.claims import measures
from pir_tf.paper.claims.measures import SINGLE, THREE, TWO, compared, each, only, slope, steps, without
from pir_tf.paper.claims.rules import Claim, Measure, Said, Table, Words, average, count, joined, share
from pir_tf.paper.rows import LAYERS, VGG_MULTI, VGG_SINGLE
from pir_tf.paper.suites import ITERATED_LAYERS, MULTI, SIZES, Weights, colors
from pir_tf.statistics.effects import ALPHA

MOST, HALF, ONE = "at least three quarters", "at least half", "at least one"
ENOUGH = SIZES["laptop"].filters  # objectives of a layer that are enough: those of size `laptop`
OF_COLORS = Counter(COLOR_KINDS[one.name.count("-") - 1] for one in colors("laptop", Weights()))  # enough are all
VARIETY, VARIED, PAIRS = 30, 12, 3  # enough to speak of a variety, of many objectives, and in a comparison
SHOWN = 1000  # images, and impressions of each (2.2)
SMALL = 0.5  # effect sizes below it are small (Cohen: 0.2 small, 0.5 medium)
CHANCE = 0.05  # p below which two shares differ by more than chance
NARROWER = 0.9  # of the distance within classes, below which variety is lost that one sees
ORDERED = 0.6  # rank correlation from which something rises with the weight of PIR
TAILS = 4.6  # percent of a normal distribution two or more SDs from its mean, where the scaling of C.5 clips
NONZERO = {"pool5": (20, 6), "fc6": (25, 4), "fc7": (24, 5), "fc8": (69, 0)}
"""Percent non-zero PIRs, and filters with more than 90% zeros, presumably of 10. Source: C.4.2."""
LOW, HIGH = ITERATED_LAYERS
STREAK = "color:green-blue-red"

RAISED = f"PIR rises significantly (p < {ALPHA:g}) in {{}} of the objectives"
LOWER = "KID of the pretrained generator is lower by"
CLOSER = (f"{LOWER} {{low: more than 0}} at the lower end of the 95% interval", f"{LOWER} {{value: more than 0}}")
MEANS = "mean d {first_round_d:+.2f} after the first, {d_from_start:+.2f} after the second"
MOVED = "mean change of the channel {moved:+.3f} of 1"
RANK = "rank correlation of the weight with"


def _slope(sign: str) -> tuple[str, str]:
    beta = f"beta is {{value: {sign} than 0}}"
    return f"{beta} and p is {{p: less than {ALPHA:g}}}", beta


def _raised(layer: str, kind: str) -> tuple[Said, Claim]:
    what, suite = ("single filters", "vgg-single") if kind == VGG_SINGLE else (f"{MULTI} filters", "vgg-multi")
    if kind == VGG_SINGLE and layer in measures.SPARSE:
        said = Said(f"poor {kind} {layer}", "4.1, 3.2", "poor, no number", suite)
        text, few = f"{layer}, {what}: not particularly successful", RAISED.format("{share: at most half}")
        behind = "the mean d less that of the layers that aren't sparse is {behind: less than 0}"
        return said, Claim(text, measures.poor(layer), few, behind, ENOUGH)
    said = Said(f"raises {kind} {layer}", "4.1, Fig. 2", "largely succeeds, no number", suite)
    measure = measures.raises(f"{what} of {layer}", only(kind, layer))
    return said, Claim(f"{layer}, {what}: PIR is raised", measure, *share(RAISED, MOST, HALF, ENOUGH))


def _zeros(layer: str) -> tuple[Said, Claim]:
    percent, filters = NONZERO[layer]
    above = f"above {measures.ALL_BUT}% zeros"
    paper = f"{percent}% non-zero, {f'{filters} filters' if filters else 'no filter'} {above}"
    many = "is {off_half: at most a quarter} from half" if filters else "is {zeros: at most 0}"
    rule = f"the mean is {{off: at most 10}} points from {percent}%, and the share of filters {above} {many}"
    text, measure = f"{layer}, single filters: share of non-zero PIRs", measures.nonzero(layer, percent)
    return Said(f"zeros {layer}", "C.4.2", paper, "vgg-single"), Claim(text, measure, rule, "", ENOUGH)


def _again(layer: str, case: str, did: str, more: str, remark: Words = "") -> Measure:
    what, of = f"of second rounds of {layer}", f"{only(VGG_SINGLE, layer)} and round == 2"
    return count(case, did, Table(what, of, rows=measures.second_rounds), more, remark)


CLAIMS: dict[Said, Claim] = {
    Said("limited generator", "2.1", "limited, no number", "colors"): Claim(
        "The pretrained generator has limited variability within its modes",
        average("distance_before / distance_real", "within-class distance {value:.2f}{interval} of the real images'",
            Table("with measured diversity", rows=measures.image_sets), "image sets before tuning",
            share="distance_before < distance_real"),
        *share("images of a class lie closer together than real ones in {} of the sets before tuning", "all", ONE)),
    Said("non-saturating", "2.1", "slightly better, no number", "ablations"): Claim(
        "The non-saturating loss gives slightly better images than the saturating",
        measures.closer("gan_loss", "saturating", "non-saturating", "saturating"),
        *CLOSER, PAIRS),
    Said("acgan", "2.1, footnote 1", "better, no number", "ablations"): Claim(
        "An ACGAN gives better initial images than a plain GAN",
        measures.closer("gan_kind", "gan", "ACGAN", "plain GAN"),
        *CLOSER, PAIRS),
    Said("comparable terms", "2.4", "roughly comparable"): Claim(
        "w_PIR = 1000 makes the PIR term and the others roughly comparable",
        measures.comparable,
        "w_PIR L_PIR is within a factor of {values: at most 10} of L_fools, its gradient of {gradients: at most 10}"),
    Said("sparse layers", "3.2, C.4.2", "fc8 is next, with 69% non-zero", "vgg-single"): Claim(
        "pool5, fc6 and fc7 are the sparsest layers",
        measures.sparsest,
        *share("{} of the three have a lower percent of non-zero PIRs than every other layer that was run", "all", ONE)),
    Said("zeros make it poor", "3.2, C.4.2", "infeasible where all are zero", "vgg-single"): Claim(
        "Filters of pool5, fc6 and fc7 that give almost only zeros can't be learned",
        measures.poor_where_zero,
        f"above {measures.ALL_BUT}% zeros the mean d less that of the other filters is {{behind: less than 0}}, and d is below "
        f"their median in {{share: {MOST}}} of the filters",
        "", PAIRS),
    Said("raises all", "4, Fig. 2", "most, no number"): Claim(
        "Tuning raises PIR on most objectives of all kinds",
        measures.raises("the paper's objectives", measures.OF_PAPER,
            remark=lambda rows: joined(measures.collapses(rows), without(rows))),
        *share(RAISED, MOST, HALF, VARIETY)),
    **dict(_raised(layer, kind) for kind in (VGG_SINGLE, VGG_MULTI) for layer in LAYERS),
    Said("20 filters more consistent", "4.1", "much more, no number", "vgg-single vgg-multi"): Claim(
        "Sets of 20 filters are improved more consistently than single filters",
        measures.consistent,
        f"at the same layers the share of improved sets is larger, by Fisher's exact test with p {{p: less than {CHANCE}}}, "
        "and the SD of d over its mean less that of single filters is {wider: less than 0}",
        "the share of improved sets less that of single filters is {often: more than 0}, and the SD so {wider: less than 0}"),
    Said("layer trend", "4.1", "beta -0.13 per layer, t = -7.8, p < 1e-10", "vgg-multi"): Claim(
        "With 20 filters the effect size falls with each layer, initial SD and percent zeros held",
        slope("layer_trend", only(VGG_MULTI), without),
        *_slope("less")),
    Said(f"raises {SINGLE}", "4.2, Fig. 2", "all three clearly", "colors"): Claim(
        "Single colours are raised",
        measures.raises("single colours", only(SINGLE)),
        *share(RAISED, MOST, HALF, OF_COLORS[SINGLE])),
    Said(f"raises {TWO}", "4.2, Fig. 2", "quite well, no number", "colors"): Claim(
        "Two colours, one in each half, are raised",
        measures.raises("two colours", only(TWO)),
        *share(RAISED, MOST, HALF, OF_COLORS[TWO])),
    Said("three colours harder", "4.2", "more difficult, no number", "colors"): Claim(
        "Three colours are more difficult than one or two",
        measures.harder,
        "the mean d less that with one colour is {over_one: less than 0}, with two {over_two: less than 0}"),
    Said("three colours at first", "4.2", "very small after 50,000 steps", "ablations"): Claim(
        "Three colours: only very small improvements after the usual tuning",
        count(f"cohens_d < {SMALL}", f"with d below {SMALL}", measures.lengths(longer=False), measures.d_after_steps),
        *share(f"d is below {SMALL} in {{}} of the objectives", "all", ONE, OF_COLORS[THREE])),
    Said("three colours longer", "4.2", "2 of 3 after 500,000 steps", "ablations"): Claim(
        "Three colours: significant improvements after ten times as many steps",
        count("improved", "improved", measures.lengths(longer=True), measures.d_after_steps),
        *share(f"{RAISED} in {measures.LONGER} times the steps", "at least two thirds", ONE, OF_COLORS[THREE])),
    Said("single colour rises", "4.2, Fig. 3", "much more blue, no number", "colors"): Claim(
        "Single colours: the images have visibly more of the colour",
        count("moved > 0", "with more of the colour", measures.channels("single", SINGLE), MOVED),
        *share("the mean of the colour's own channel rises in {} of the objectives", "all", HALF, OF_COLORS[SINGLE])),
    Said("third channel falls", "4.2, Fig. 3", "much less blue for red-green, no number", "colors"): Claim(
        "Two colours: the system finds the trick of reducing the third",
        count("moved < 0", "with less of the third colour", measures.channels("two", TWO), MOVED),
        *share("the mean of the channel that isn't asked for falls in {} of them", "all", HALF, OF_COLORS[TWO])),
    Said("blue streak", "4.2, Fig. 3", "visible, no number", "colors"): Claim(
        "Green-blue-red: some images get a blue streak in the middle",
        average("middle_blue_after - middle_blue_before",
            "blue of the middle third less that of the outer ones {value:+.3f}{interval} of 1",
            Table(f"of {STREAK} with channel means", f"objective == '{STREAK}'"),
            lambda rows: f"after {steps(rows)}; means of 1000 images: a streak in some of them moves it little"),
        "the mean blue of the middle third, less that of the outer ones, rises by {value: at least 0.02} (of 1)",
        "it rises by {value: more than 0}"),
    Said("1000 images", "5, 2.2", "many objectives from 1000 images"): Claim(
        "1000 images, each shown 1000 times, suffice",
        measures.raises(f"estimators from {SHOWN} images", measures.OF_PAPER,
            f"0 < images <= {SHOWN} and 0 < impressions <= {SHOWN}"),
        *share(f"{RAISED} with at most {SHOWN} images and impressions", MOST, HALF, VARIETY)),
    Said("generator loss rises", "5.1", "usually"): Claim(
        "A falling PIR loss usually comes with a rising generator loss",
        count("generator_loss_rise > 0", "with a rising generator loss",
            Table("with a log of tuning", where="pir_rise > 0"), remark="last fifth of tuning against first"),
        *share("the generator's loss rises in {} of the runs whose estimated PIR rose in tuning", MOST, HALF, VARIED)),
    Said("partial collapse", "5.1", "often"): Claim(
        "Tuning often comes with a partial collapse of the output",
        count("distance_after < distance_before", "with less within-class distance", Table("with measured diversity"),
            measures.variety_left, narrower=f"distance_after < {NARROWER} * distance_before"),
        f"the distance within classes is less than {NARROWER} of that before in {{narrower: {HALF}}} of the runs",
        f"it is smaller at all in {{share: {HALF}}}",
        VARIED),
    Said("trade-off", "5.1", "can be adjusted, no number", "trade-off"): Claim(
        "The weight of PIR trades diversity for PIR",
        count(f"pir_after_mean >= {ORDERED} and distance_after <= -{ORDERED}", "curves",
            measures.curves("of three weights of PIR with diversity", "pir_after_mean", "distance_after"), each(
            "{pir_after_mean:+.2f} and {distance_after:+.2f} over {weights} weights",
            f"{RANK} PIR and with distance:", ), "curves",
            either=f"pir_after_mean >= {ORDERED} or distance_after <= -{ORDERED}"),
        f"the rank correlation of w_PIR with PIR after tuning is {ORDERED} or more, and with the distance within classes "
        f"-{ORDERED} or less, on {{share: all}} of the curves",
        "one of the two on {either: at least one}"),
    Said("away from the data", "5.1", "can be adjusted, no number", "trade-off"): Claim(
        "The weight of PIR trades nearness to the data for PIR",
        count(f"kid_after >= {ORDERED}", "curves", measures.curves("of three weights of PIR with KID", "kid_after"),
            each("{kid_after:+.2f}", f"{RANK} KID:"), "curves", rises="kid_after > 0"),
        f"the rank correlation of w_PIR with KID is {ORDERED} or more on {{share: all}} of the curves",
        "above 0 on {rises: at least one}"),
    Said("without the generator's loss", "5.1", "expected, not run", "trade-off"): Claim(
        "Without the generator's loss it trains towards a single optimal image",
        count("lost", "collapsed", measures.extremes("distance_after.notna() and paper_distance_after.notna()"),
            each("{distance_after:.3f} against {paper_distance_after:.3f}", "within-class distance", ", "),
            lambda rows: "" if rows.lost.all() else "at this length", less="distance_after < paper_distance_after"),
        "{share: all} of such runs lose more than half of a class's distance",
        "{less: all} keep less than at w_PIR 1000 with it"),
    Said("generator's loss regularizes", "5.1", "likely, not run", "trade-off"): Claim(
        "The generator's loss reduces overfitting to the estimate",
        average("excess - paper_excess",
            "estimated minus true change {excess:+.3f} without it, {paper_excess:+.3f} with it, "
            "difference {value:+.3f}{interval}", measures.extremes()),
        *share("the estimated change less the true is larger without it in {} of the pairs", "all", ONE)),
    Said("estimate to truth", "A.1, Fig. 4", "beta 1.67 of change on estimated change"): Claim(
        "The change is more than estimated, by a factor of more than 1.5",
        slope("change_on_estimated"),
        "the 95% interval of beta is {low: more than 1.5}",
        "beta is {value: more than 1}"),
    Said("underestimates", "A.1, 4.3", "fairly consistently"): Claim(
        "The system underestimates its change fairly consistently, against the fear of overfitting",
        count("estimated_change < change", "underestimated", Table("of improved objectives", where="change > 0"),
            remark="of those that rose"),
        *share("the estimated change is below the true in {} of the objectives whose PIR rose", MOST, HALF, VARIED)),
    Said("absolute bias", "A.1", "consistently, no number"): Claim(
        "The estimator consistently underestimates PIR itself, which is where that comes from",
        count("estimator_bias < 0", "underestimate the mean PIR", Table("of estimators"), measures.mean_bias),
        *share("the mean estimate before tuning is below the true mean in {} of the objectives", MOST, HALF, VARIED)),
    Said("bias by temperature", "A.1, C.3", "probably, no number"): Claim(
        "The underestimate comes from the lower softmax temperature when used",
        average("bias - bias_at_1",
            "bias {bias:+.4f} at 0.01, {bias_at_1:+.4f} at 1; difference {value:+.4f}{interval}, lower at 0.01 in {below} of {n}",
            Table("of estimators at both temperatures"), "the same estimators on new images",
            share="bias < bias_at_1", under="bias"),
        f"the bias at 0.01 is lower than at 1 in {{share: {MOST}}} of the estimators, on average with a 95% interval that is "
        "{high: less than 0}, and itself {under: less than 0}, as an underestimate is",
        "the mean difference is {value: less than 0}"),
    Said("complex objectives", "A.1, Fig. 4", "seem to, no number", "vgg-single vgg-multi"): Claim(
        "More complex objectives have lower estimates, and true changes even below them",
        measures.complex_objectives,
        f"the rank correlation of layer and estimate over VGG ones is {{trend: less than 0}}, p {{p: less than {ALPHA:g}}}, "
        "and from pool5 on {share: more than half} have a true change below the estimate",
        "it is {trend: less than 0}"),
    Said("initial spread", "A.2, Fig. 5", "beta 0.99, t = 10.6, p < 1e-10"): Claim(
        "The change grows with the initial SD, initial mean and percent zeros held",
        slope("change_on_spread"),
        *_slope("more")),
    Said("initial spread alone", "A.2", "about 50%"): Claim(
        "The initial SD explains about half of the variance of the change",
        measures.explained,
        "R² is {value: at least 0.35} and {value: at most 0.65}, and beta {beta: more than 0}",
        "R² is {value: at least 0.2}, and beta {beta: more than 0}"),
    Said("second round improves", "A.3, 4.3, Fig. 6", "all", "iteration"): Claim(
        f"{LOW}: all models improve again in a second round",
        _again(LOW, "gain > 0", "improved again", MEANS,
            lambda rows: f"{(rows.gain > 0)[rows.p_value < ALPHA].sum()} of them significantly"),
        *share("d against the first generator's images rises again in {}", "all", "more than half", ENOUGH)),
    Said("second round less", "A.3, Fig. 6", "none", "iteration"): Claim(
        f"{LOW}: none improves as much as in the first round",
        _again(
            LOW,
            "gain < first_round_d",
            "gained less than at first",
            "mean gain {gain:+.2f} against {first_round_d:+.2f}",
        ),
        *share("the second gain in d is smaller than the first in {}", "all", "more than half", ENOUGH)),
    Said("second round worse", "A.3, 4.3, Fig. 6", "many", "iteration"): Claim(
        f"{HIGH}: many models get worse in a second round",
        _again(HIGH, "gain < 0", "got worse", MEANS),
        *share("d is lower after the second round in {}", "at least a third", ONE, ENOUGH)),
    Said("bins", "C.3", "better, no number", "ablations"): Claim(
        "Classifying into 100 bins performs better than predicting a scalar",
        average("paper_cohens_d - cohens_d",
            "mean d {paper_cohens_d:+.2f} with bins, {cohens_d:+.2f} with one output; higher in {above} of {n}, by "
            "{value:+.2f}{interval}", Table("of one scalar output", "output == 'scalar'", rows=compared("output"))),
        *share("d is higher with bins in {} of the pairs", MOST, HALF, PAIRS)),
    Said("scalar fits worse", "C.3", "trouble, no number", "ablations"): Claim(
        "A scalar output has trouble fitting the PIRs",
        average("error - paper_error",
            "mean absolute error {error:.4f} with one output, {paper_error:.4f} with bins; larger in {above} of {n}, by "
            "{value:+.4f}{interval}",
            Table("of one scalar output with its error", "output == 'scalar'", rows=compared("output")),
            "held-out images"),
        *share("the mean absolute error on new images is larger in {} of the pairs", MOST, HALF, PAIRS)),
    Said("temperature", "C.3", "improves, no number", "ablations"): Claim(
        "Lowering the softmax temperature to 0.01 improves results",
        measures.temperature,
        "d is higher at 0.01 in {share: more than half} of the pairs, and on average by {value: more than 0}",
        "the distance within classes after tuning is larger in {kept: more than half}",
        PAIRS),
    **dict(map(_zeros, NONZERO)),
    Said("all zero", "C.4.2", "a few", "vgg-single"): Claim(
        "In a few cases on pool5, fc6 and fc7 all PIRs are zero",
        measures.all_zero,
        "of a filter's PIRs {most: at least 100} percent are below 0.01",
        "{most: at least 99} percent are"),
    Said("20 filters less sparse", "C.4.2", "less sparse, no number", "vgg-single vgg-multi"): Claim(
        "Sets of 20 filters are less sparse",
        measures.less_sparse,
        *share("20 filters have more non-zero PIRs than one at {} of pool5, fc6 and fc7", "all", ONE)),
    Said("zeros and effect", "C.4.2, Fig. 8", "strong, no number", "colors vgg-single"): Claim(
        "The effect is strongly related to the percent of non-zero PIRs",
        slope("effect_on_nonzero", f"kind != '{VGG_MULTI}'", "colours and single filters", r=True),
        *_slope("more")),
    Said("normalised", "C.5", "not particularly good", "ablations"): Claim(
        "Normalising PIR to mean 0.5 and SD 0.25 gives no particularly good results",
        average("unscaled_cohens_d - paper_cohens_d",
            "mean d {unscaled_cohens_d:+.2f} normalised, {paper_cohens_d:+.2f} as it is; higher in {above} of {n}, by "
            "{value:+.2f}{interval}",
            Table("of normalised PIR", "scaling == 'normalized'", rows=compared("scaling"))),
        "d is higher in {share: at most half} of the pairs",
        "in more, but by {value: less than 0.2} on average",
        PAIRS),
    Said("clipped", "C.5", "possibly many", "ablations"): Claim(
        "Normalising clips many outliers to 0 or 1",
        average("percent_clipped", "{value:.1f}%{interval} clipped, from {least:.1f}% to {most:.1f}%",
            Table("of normalised PIR", "scaling == 'normalized'", rows=lambda evidence: evidence.rows),
            share=f"percent_clipped > {TAILS}"),
        f"more than {TAILS}% (a normal distribution's share) are clipped on average, with a 95% interval that is "
        f"{{low: more than {TAILS}}}",
        f"they are in {{share: {MOST}}}",
        PAIRS),
}  # fmt: skip
