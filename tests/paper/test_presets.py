"""What the README says of the presets is what they are."""

from pathlib import Path

from pir_tf.paper.presets import differences, table

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_lists_every_field_in_which_laptop_departs_from_paper():
    assert table() in README.read_text(encoding="utf-8")


def test_differences_are_of_fields_and_not_of_the_name():
    names = [name for name, _, _ in differences()]
    assert "tuning.steps" in names
    assert "preset" not in names
    assert "tuning.pir_weight" not in names
