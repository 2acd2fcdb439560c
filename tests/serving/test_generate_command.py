"""`python -m pir_tf.serving.generate`: files, exit codes, and mistakes in one sentence."""

import pytest
from fake_model import FakeServer, png
from fake_rest import rest_server

from pir_tf.serving.generate import main


@pytest.fixture(scope="module")
def served():
    fake = FakeServer(size=8)
    with rest_server(fake) as address:
        yield fake, address


def words(address, *more):
    return ["--url", address, "--model", "landscapes", *map(str, more)]


def test_an_image_for_each_seed_is_written(served, tmp_path, capsys):
    fake, address = served
    assert main(words(address, "--seed", 3, -4, "--class", 0, 1, "--to", tmp_path / "new", "--label", "stable")) == 0
    files = [tmp_path / "new" / "3-coast.png", tmp_path / "new" / "-4-mountain.png"]
    assert capsys.readouterr().out.split() == [str(path) for path in files]
    model = fake.versions["stable"]
    assert [path.read_bytes() for path in files] == [png(model.picture(3, 0)), png(model.picture(-4, 1))]
    assert sorted((tmp_path / "new").iterdir()) == sorted(files)


def test_a_user_is_sent_to_a_side_and_a_class_name_stays_in_the_folder(served, tmp_path, monkeypatch):
    fake, address = served
    fake.requests.clear()
    monkeypatch.setattr("fake_model.CLASSES", ("../../sea", "mountain"))
    for user in ("user-0", "user-1"):
        assert main(words(address, "--seed", 1, "--to", tmp_path, "--user", user, "--canary-percent", 50)) == 0
    assert [label for label, _ in fake.requests] == ["canary", "stable"]
    assert [path.name for path in tmp_path.iterdir()] == ["1-______sea.png"]


@pytest.mark.parametrize(
    ("code", "more", "said"),
    [
        (2, "--seed 1 --class 0 1", "class_ids has 2 numbers and seed 1"),
        (2, "--seed x", "Argument --seed: invalid int value: 'x'"),
        (2, "", "--seed"),
        (2, "--seed 1 --user a --label stable", "--user and --label were both given"),
        (2, "--seed 1 --deadline 0", "The deadline is 0"),
        (1, "--seed 1 --class 9", "INVALID_ARGUMENT (class_id): class_id has 9"),
        (2, "--seed 1 --to file", "file can't be used (File exists): mend that, or choose another --to"),
    ],
)
def test_mistakes_and_refusals_are_one_sentence(served, tmp_path, monkeypatch, capsys, code, more, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main([*words(served[1]), *more.split()]) == code
    text = capsys.readouterr().err
    assert text.startswith("Error: ") and said in text and text.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
