"""The suites: how many experiments, which, under which names, and that each is a config that the command line can name."""

from dataclasses import replace

import pytest

from pir_tf import objective_names
from pir_tf.config import changed, flatten
from pir_tf.experiments.command_line import parse, public_command
from pir_tf.objective_names import VGG_FILTERS
from pir_tf.paper.jobs import command_words
from pir_tf.paper.suites import PIR_WEIGHTS, SIZES, SUITES, Weights, experiments
from pir_tf.presets import by_papers_method, laptop, paper

FILES = Weights("file:a/inception.h5", "file:b/vgg.h5", (0.0, 1.0))

BEYOND = (
    "beyond",
    "beyond-longer",
    "beyond-guarded",
    "beyond-judged",
    "beyond-seeds",
    "beyond-offline",
    "factorial",
    "heads-on-data",
    "best-of",
    "tuned-by-few",
    "moved-latents",
)
"""Suites that aren't the paper's."""


def by_name(suite, size="laptop", weights=FILES):
    return {experiment.name: experiment for experiment in SUITES[suite](size, weights)}


def differing(one, other):
    a, b = flatten(one), flatten(other)
    return {name: (a[name], b[name]) for name in a if a[name] != b[name]}


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_paper_is_all_suites_and_equal_names_mean_equal_configs(size):
    """So that what suites share is run once, and nothing else is."""
    everything = [one for suite in SUITES.values() for one in suite(size, FILES)]
    assert len({one.name for one in everything}) == len({one.config for one in everything}) == len(set(everything))
    assert all("/" not in one.name and one.name.islower() for one in everything)
    papers = [name for name in SUITES if name != "paper" and name not in BEYOND]
    others = {one for name in papers for one in SUITES[name](size, FILES)}
    whole = SUITES["paper"](size, FILES)
    assert set(whole) == others and len(whole) == len(others)
    assert list(experiments(["paper"], size, FILES)) == whole


def test_colors_are_the_twelve_of_d11_and_their_presets_but_for_the_objective():
    pairs = ["red-green", "red-blue", "green-red", "green-blue", "blue-red", "blue-green"]
    rotations = ["red-green-blue", "green-blue-red", "blue-red-green"]
    assert list(by_name("colors")) == [f"color-{name}" for name in ("red", "green", "blue", *pairs, *rotations)]
    for size in ("laptop", "smoke"):
        red = by_name("colors", size)["color-red"].config
        assert differing(red, by_papers_method(size)) == {"interactions.objective": ("color:red", "color:blue")}
    three = by_name("colors", "paper", Weights())["color-red-green-blue"].config
    objective = {"interactions.objective": ("color:red-green-blue", "color:blue")}
    assert differing(three, paper()) == {**objective, "tuning.steps": (500_000, 50_000)}


def test_drawn_filters_never_change_and_smaller_sizes_take_the_first():
    """Published results name them."""
    first = "pool1-filter-49 pool2-filter-34 pool3-filter-28 pool4-filter-243 pool5-filter-241"
    first = [f"vgg-{name}" for name in f"{first} fc6-filter-2092 fc7-filter-660 fc8-filter-331".split()]
    assert list(by_name("vgg-single", "smoke")) == first
    for size in ("laptop", "paper"):
        assert [name for i, name in enumerate(by_name("vgg-single", size)) if i % SIZES[size].filters == 0] == first
    for suite, k in (("vgg-single", 1), ("vgg-multi", 20)):
        ten, four = (
            [one.config.interactions.objective for one in SUITES[suite](s, FILES)] for s in ("paper", "laptop")
        )
        for names, count in ((ten, 10), (four, 4)):
            parsed = [objective_names.parse(name) for name in names]
            assert [(one.layer, one.k) for one in parsed] == [(layer, k) for layer in VGG_FILTERS for _ in range(count)]
        assert set(four) <= set(ten) and len(set(ten)) == len(ten)


def test_vgg_runs_name_their_weights_and_leave_out_what_these_lack_with_the_reason():
    assert [one.name for one in SUITES["vgg-single"]("laptop", Weights()) if one.not_run] == []
    left_out = [one for one in SUITES["vgg-single"]("laptop", FILES) if one.not_run]
    assert {one.name.split("-")[1] for one in left_out} == {"fc6", "fc7", "fc8"} and len(left_out) == 12
    assert all(one.name.split("-")[1] in one.not_run and "imagenet" in one.not_run for one in left_out)
    named = replace(FILES, vgg_layers=("pool1", "fc6"))
    served = {one.name.split("-")[1] for one in SUITES["vgg-multi"]("laptop", named) if not one.not_run}
    assert served == {"pool1", "fc6"}
    config = by_name("vgg-single")["vgg-pool1-filter-49"].config
    estimator = config.estimator
    assert (estimator.backbone, estimator.layer, estimator.trainable) == ("inception_v3", "mixed2", "head")
    assert (estimator.image_size, estimator.weights, estimator.input_range) == (96, "file:a/inception.h5", (0.0, 1.0))
    assert (config.interactions.vgg_weights, config.interactions.vgg_image_size) == ("file:b/vgg.h5", 112)
    changes = differing(by_name("vgg-multi", "paper")["vgg-fc6-20-filters-3"].config, paper())
    named = {"interactions.objective", "interactions.vgg_weights", "estimator.weights", "estimator.input_range"}
    assert set(changes) == named
    for one in SUITES["paper"]("smoke", Weights()):
        assert one.config.interactions.vgg_weights == "none" or "vgg" not in one.name
        assert (one.config.evaluation.kid_weights, one.config.estimator.weights) == ("none", "none")


def test_finetuned_shows_the_head_alone_and_whole_and_iteration_has_its_first_rounds():
    for size, kept, other in (("laptop", "head", "all"), ("paper", "all", "head")):
        found = SUITES["finetuned"](size, FILES)
        others = {*SUITES["vgg-single"](size, FILES), *SUITES["vgg-multi"](size, FILES)}
        assert [one.config.estimator.trainable for one in found if one in others] == [kept] * 3
        assert [one.config.estimator.trainable for one in found if one not in others] == [other] * 3
    found = by_name("iteration")
    seconds = {name: one for name, one in found.items() if one.config.first_round}
    assert len([name for name in seconds if "pool2" in name]) == 6
    for name, second in seconds.items():
        first = found[second.config.first_round]
        assert name == f"{first.name}-round-2"
        assert differing(second.config, first.config) == {"first_round": (first.name, "")}
        assert second.not_run == first.not_run


def test_trade_off_varies_the_weight_and_measures_kid():
    found = by_name("trade-off")
    assert len(found) == 2 * (len(PIR_WEIGHTS) + 1)
    assert {one.config.evaluation.kid_weights for one in found.values()} == {"file:b/vgg.h5"}
    blue = [one.config for name, one in found.items() if name.startswith("color-blue-weight")]
    assert [config.tuning.pir_weight for config in blue] == [0, 30, 100, 300, 1000, 3000, 10_000]
    assert all(set(differing(config, blue[4])) <= {"tuning.pir_weight"} for config in blue)
    extreme = found["color-blue-no-generator-loss"].config
    assert set(differing(extreme, blue[4])) == {"tuning.fools_weight", "gan.fake_class_weight"}
    assert (extreme.tuning.fools_weight, extreme.gan.fake_class_weight, extreme.tuning.pir_weight) == (0, 0, 1000)
    for size in SIZES:  # the extreme never changes the pretraining
        extreme = by_name("trade-off", size)["color-blue-no-generator-loss"].config
        assert extreme.gan.generator == "bundled" or extreme.gan == paper().gan


def test_beyond_are_the_objectives_of_figure_2_with_the_linear_estimator_and_its_baselines():
    found = by_name("beyond")
    assert len(found) == 12 + 5 * 4 + 2 + 5 * 4
    bases = ("colors", "vgg-single", "iteration", "vgg-multi")
    papers = {one.config.interactions.objective: one.config for name in bases for one in SUITES[name]("laptop", FILES)}
    for name, one in found.items():
        estimator, evaluation = one.config.estimator, one.config.evaluation
        backbone = "discriminator" if name.startswith("color") else "inception_v3+discriminator"
        assert (estimator.output, estimator.backbone) == ("linear", backbone) and name.endswith("-linear")
        ratio = 1 if name.startswith("color") else 4
        assert (one.config.tuning.pir_gradient_ratio, evaluation.control) == (ratio, True)
        assert (evaluation.kid_weights, evaluation.kid_images) == ("file:b/vgg.h5", 300)
        assert estimator.pessimism == 2
        paper_s = papers[one.config.interactions.objective]
        assert (one.config.interactions, one.config.tuning.steps) == (paper_s.interactions, paper_s.tuning.steps)
    six = (
        "color-blue color-red-blue vgg-pool2-filter-30 vgg-pool3-filter-28 vgg-pool4-filter-243 vgg-pool5-20-filters-0"
    )
    chosen = {name for name, one in found.items() if one.config.evaluation.best_of}
    assert chosen == {f"{name}-linear" for name in six.split()}
    longer = by_name("beyond-longer")
    assert len(longer) == 5 * 4 + 2 + 5 * 4
    for name, one in longer.items():
        equal = found[name.replace("-600-steps-linear", "-linear")].config
        assert differing(one.config, equal) == {"tuning.steps": (600, 150), "tuning.pir_gradient_ratio": (2, 4)}
    for suite, stops in (
        ("guarded", {"tuning.keep_distance": (0.85, 0)}),
        ("judged", {"tuning.stop": ("judge", "none"), "evaluation.judge": (True, False)}),
    ):
        stopped = by_name(f"beyond-{suite}")
        assert {name.removesuffix(f"-{suite}") for name in stopped} == {name for name in longer if "-filter-" in name}
        for name, one in stopped.items():
            changes = differing(one.config, longer[name.removesuffix(f"-{suite}")].config)
            assert changes.pop("evaluation.best_of", 0) in (0, (0, 16))  # not what is asked of these
            assert changes == {**stops, "evaluation.control": (False, True)}


def test_the_other_studies_differ_in_what_they_are_about():
    seeds = by_name("beyond-seeds")
    assert len(seeds) == (6 * 2 + 4) * 3
    for name, one in seeds.items():
        if "-seed-" in name:
            base, _, seed = name.rpartition("-seed-")
            assert differing(one.config, seeds[base].config) == {"seed": (int(seed), 0)}
    on_data, ablations = by_name("heads-on-data"), by_name("ablations")
    assert len(on_data) == 3 * 2
    for name, one in on_data.items():
        base, head = name.removesuffix("-on-data-weight-1000").rsplit("-", 1)
        expected = {"bin_range": ("data", "unit"), "temperature": (1, 0.01)}
        expected = expected if head == "bins" else {"output": ("scalar", "bins"), "scalar_start": ("data", "half")}
        assert differing(one.config, ablations[base].config) == {f"estimator.{k}": v for k, v in expected.items()}
    factorial = by_name("factorial")
    assert len(factorial) == 6 * 4 * 2
    for objective in {one.config.interactions.objective for one in factorial.values()}:
        own = [one.config for one in factorial.values() if one.config.interactions.objective == objective]
        assert [config.tuning.pir_gradient_ratio for config in own] == [0, 1] * 4
        about = ("output", "bin_range", "temperature", "scalar_start")
        fields = {f"estimator.{name}" for name in about} | {"tuning.pir_gradient_ratio"}
        assert all(set(differing(config, own[0])) <= fields for config in own)
    best = by_name("best-of")
    assert len(best) == 6 * 4
    for name, one in best.items():
        whole = factorial[name.removesuffix("-best-of-16")].config
        assert differing(one.config, whole) == {"evaluation.best_of": (16, 0)} and not whole.tuning.pir_gradient_ratio
    offline = by_name("beyond-offline")
    assert len(offline) == 13 and {one.config.estimator.backbone for one in offline.values()} == {"discriminator"}
    assert not any(one.not_run for one in by_name("beyond-offline", weights=replace(FILES, inception="none")).values())
    few = by_name("tuned-by-few")
    for method, base in (("color-blue", by_name("colors")), ("color-blue-linear", by_name("beyond"))):
        own = {name: one for name, one in few.items() if name.rpartition("-by-")[0].rpartition("-")[0] == method}
        answers = [(one.config.interactions.images, one.config.interactions.impressions) for one in own.values()]
        assert len(set(answers)) == 6 and list(own) == [f"{method}-{n}-by-{k}" for n, k in answers]
        for one in own.values():
            changes = set(differing(one.config, base[method].config)) - {"evaluation.best_of"}  # not asked of these
            assert changes <= {"interactions.images", "interactions.impressions"}
    assert len(few) == 6 * 2
    moved = by_name("moved-latents")
    kinds = [one.config.tuning.kind for one in moved.values()]
    assert [kinds.count(kind) for kind in ("shift", "residual", "weights")] == [15, 15, 5] and len(moved) == 35


ABLATIONS = {
    **{"scalar": "estimator.output", "temperature-1": "estimator.temperature", "normalized": "interactions.scaling"},
    **{"-steps": "tuning.steps", "saturating": "gan.loss", "plain-gan": "gan.kind"},
}


@pytest.mark.parametrize("size", SIZES)
def test_each_ablation_stands_beside_its_baseline_and_differs_in_one_field(size):
    found = {name: one.config for name, one in by_name("ablations", size, Weights()).items()}
    for suffix, field in ABLATIONS.items():
        variants = [name for name in found if name.endswith(suffix)]
        assert variants
        for name in variants:
            base = max((other for other in found if name.startswith(f"{other}-")), key=len)
            assert set(differing(found[name], found[base])) == {field}
    three = [config.tuning.steps for config in found.values() if config.interactions.objective.count("-") == 2]
    lengths = {"paper": {50_000, 500_000}, "laptop": {150, 1500}, "smoke": {6, 12}}
    assert len(three) == 6 and set(three) == lengths[size]
    gans = [(one.gan.loss, one.gan.kind, one.seed) for name, one in found.items() if "-trained-gan" in name]
    seeds = range(SIZES[size].gan_seeds) if gans else ()
    pairs = (("non_saturating", "acgan"), ("saturating", "acgan"), ("non_saturating", "gan"))
    assert gans == [(*pair, seed) for seed in seeds for pair in pairs]


ODD = [
    {"data": {"classes": ("a b", "c"), "source": "folder:x y"}, "gan": {"generator": "train"}},
    {"evaluation": {"judge": False}, "compute": {"jit_compile": "on", "deterministic": False}},
    {"tuning": {"learning_rate": 1.2345678901234567e-7, "pir_weight": 0.0}},
    {"estimator": {"input_range": (-2.5, 0.125), "backbone": "inception_v3", "layer": "mixed3", "image_size": 80}},
]


@pytest.mark.slow
def test_the_command_of_every_experiment_means_its_config_and_every_kind_of_field_survives():
    suites = ("paper", *BEYOND)
    configs = [
        one.config
        for size in SIZES
        for some in (FILES, Weights())
        for name in suites
        for one in SUITES[name](size, some)
    ]
    odd = [changed(by_papers_method("laptop"), **sections) for sections in ODD]
    seen, checked = set(), 0
    for config in [*configs, *odd]:
        words = command_words(config)
        options = {f"{config.preset} {word}" for word in words if word.startswith("--")}
        if options - seen or config in odd:  # others that show no option anew are passed over
            seen, checked = seen | options, checked + 1
            assert parse(words).experiment == config
    assert checked > 15 + len(ODD)


def test_a_command_names_only_what_differs_and_is_published_without_paths():
    assert command_words(laptop()) == ["laptop"]
    words = command_words(by_name("colors")["color-red"].config)
    assert words == ["laptop", "--interactions.objective", "color:red", "--estimator.output", "bins"]
    weights = Weights("file:/somewhere/inception.h5", "file:/else where/vgg.h5")
    config = replace(SUITES["iteration"]("laptop", weights)[1].config, first_round="/me/sweep/vgg-pool2-filter-34")
    command = public_command(command_words(config))
    assert command.startswith("python -m pir_tf.experiments.run laptop --first-round vgg-pool2-filter-34 ")
    assert "file:inception.h5" in command and "file:vgg.h5" in command and "/" not in command
