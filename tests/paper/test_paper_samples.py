"""Figure 3: randomly drawn images before and after tuning."""

import numpy as np
import pytest
from many_rows import ROTATIONS, experiment, whole
from synthetic_run import pictures

from pir_tf.errors import InputError
from pir_tf.paper.figures import samples


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Samples of all colour objectives: the same images before, others after."""
    found = {}
    for i, colors in enumerate(("blue", "red-blue", *ROTATIONS)):
        path = tmp_path_factory.mktemp("samples") / "samples.npz"
        np.savez(path, before=pictures(20, 1)[0], after=pictures(20, 10 + i)[0])
        found[f"color-{colors}"] = path
    return found


def test_samples_are_drawn_by_the_seed_with_one_block_before_tuning(archives):
    table, images = samples.draw_samples(whole(), archives, seed=4)
    assert images.shape == (6 * 12, 64, 64, 3) and images.dtype == np.uint8 and len(table) == 72
    assert [row["title"] for row in table[::12]][:3] == ["before tuning", "blue", "red left, blue right"]
    with np.load(archives["color-blue"]) as blue:
        for row, image in zip(table[:24], images, strict=False):
            assert np.array_equal(image, blue[row["when"]][row["sample"]])
    assert len({row["sample"] for row in table[:12]}) == 12  # without replacement
    again, others = (samples.draw_samples(whole(), archives, seed=seed)[0] for seed in (4, 5))
    assert again == table and [row["sample"] for row in others] != [row["sample"] for row in table]
    figure = samples.draw(table, images)
    assert len(figure.axes) == 72
    assert "seed 4" in samples.caption(table)


def test_another_start_gets_its_own_block(archives, tmp_path):
    np.savez(tmp_path / "s.npz", before=pictures(20, 2)[0], after=pictures(20, 3)[0])
    table, _ = samples.draw_samples(whole(), {**archives, "color-red-blue": tmp_path / "s.npz"}, seed=0)
    assert [row["when"] for row in table[::12]][:4] == ["before", "after", "before", "after"]


def test_few_samples_and_none(tmp_path):
    np.savez(tmp_path / "s.npz", before=pictures(3, 2)[0], after=pictures(3, 3)[0])
    table, images = samples.draw_samples([experiment()], {"color-blue": tmp_path / "s.npz"}, seed=0)
    assert len(images) == 6 and len(samples.draw(table, images).axes) == 6
    table, images = samples.draw_samples(whole(), {}, seed=0)
    assert table == [] and "no samples" in samples.draw(table, images).axes[0].texts[0].get_text()


def test_samples_that_do_not_fit_or_are_damaged_are_refused(archives, tmp_path):
    table, images = samples.draw_samples(whole(), archives, seed=0)
    with pytest.raises(InputError, match="names 71 images and figure-3.npz holds 72"):
        samples.draw(table[1:], images)
    (tmp_path / "s.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="can't be read"):
        samples.draw_samples([experiment()], {"color-blue": tmp_path / "s.npz"}, seed=0)
    with pytest.raises(InputError, match="can't be read"):
        samples.load_images(tmp_path / "s.npz")
