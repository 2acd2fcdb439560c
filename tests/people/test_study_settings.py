"""A study's settings: what no study can have, files of them, and that they come back from the database."""

import datetime

import pytest

from pir_tf.errors import InputError
from pir_tf.people import slots, study
from pir_tf.people.study import Study, read_settings
from pir_tf.people.words import WORDS
from pir_tf.statistics import planning, proof
from pir_tf.statistics.modes import MODES


def test_settings_come_back_and_unknown_ones_of_a_later_version_are_left_out():
    study = Study(
        name="Blå", mode="pair", labels={"left": "Links"}, origins=("https://shop.example",), ends="2026-12-24"
    )
    assert Study.from_json(study.to_json()) == study
    assert Study.from_json(study.to_json().replace('"mode"', '"later": 1, "mode"')) == study
    assert study.page_words == {**WORDS, "left": "Links"} and study.question == "Which image do you like better?"


def test_what_is_said_by_mode_is_said_of_each():
    said = (study.SHOWN, study.QUESTIONS, slots.ANSWERS, proof.COUNTED, planning.ANSWERS_PER_IMAGE)
    assert all(set(one) == set(MODES) for one in said)


def test_the_last_day_is_whole():
    study = Study(ends="2026-12-24")
    at = lambda *time: datetime.datetime(2026, 12, *time, tzinfo=datetime.UTC).timestamp()  # noqa: E731
    assert [study.over(at(*time)) for time in ((24, 0), (24, 23, 59, 59), (25, 0))] == [False, False, True]
    assert not Study().over(at(31)) and not Study(ends="9999-12-31").over(at(31))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mode": "stars"}, "mode is 'stars', expected like, rating, pair or grid"),
        ({"name": ""}, "1 to 80 printable characters"),
        ({"name": "a\nb"}, "1 to 80 printable characters"),
        ({"question": "?" * 4001}, "at most 4000 characters"),
        ({"labels": {"yes": "Yes"}}, "labels is 'yes'"),
        ({"labels": {"like": ""}}, "labels.like is ''"),
        ({"answers_per_rater": 0}, "answers_per_rater is 0"),
        ({"answers_per_rater": True}, "answers_per_rater is True"),
        ({"shared": 0.6}, "a share from 0 to 0.5"),
        ({"repeats": float("nan")}, "repeats is nan"),
        ({"ends": "24.12.2026"}, "a day as YYYY-MM-DD"),
        ({"origins": 5}, "a list of origins"),
        ({"question": "\udcff"}, "text that UTF-8 can write"),
        ({"labels": {"like": "\ud800"}}, "text that UTF-8 can write"),
        ({"words": {"like": "\ud800"}}, "text that UTF-8 can write"),
        ({"origins": ("https://shop.example/page",)}, "without a path"),
    ],
)
def test_what_no_study_can_have_is_refused(settings, words):
    with pytest.raises(InputError) as refused:
        Study(**settings)
    assert words in str(refused.value)


def test_a_file_of_settings(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('question = "Nice?"\npause_every = 20\norigins = ["https://a.example"]\n[labels]\nlike = "Yes"\n')
    study = Study(**{**read_settings(path), "mode": "grid"})
    assert (study.question, study.pause_every, study.mode, study.labels) == ("Nice?", 20, "grid", {"like": "Yes"})
    for text, words in [
        ("question = 1", "question = 1, expected a str"),
        ("colour = 1", "sets colour, expected names among name, mode"),
        ("question = ", "can't be read"),
        ('origins = "https://a.example"', "a list of origins"),
        ("pause_every = true", "expected a int"),
    ]:
        path.write_text(text)
        with pytest.raises(InputError) as refused:
            Study(**read_settings(path))
        assert words in str(refused.value)
