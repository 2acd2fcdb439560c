"""The sweep's options: mistakes in one sentence, before anything is written, and the dry run."""

import pytest

from pir_tf.paper import sweep
from pir_tf.paper.sweep_options import parse, weights_of


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["colours"], ["'colours'", "colors"]),
        ([], ["SUITE"]),
        (["colors", "--size", "huge"], ["'huge'", "laptop"]),
        (["colors", "--jobs", "0"], ["--jobs is 0", "1 or more"]),
        (["colors", "--time-limit", "nan"], ["--time-limit is nan"]),
        (["colors", "--only", "vgg-*"], ["--only vgg-*", "color-red"]),
        (["colors", "--vgg-weights", "web"], ["'web'"]),
        (["colors", "--inception-range", "1", "0"], ["--inception-range is 1.0 0.0"]),
        (["colors", "--cpus", "0"], ["--cpus"]),
        (["colors", "--nonsense"], ["--nonsense"]),
    ],
)
def test_a_mistake_is_one_sentence(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    size = [] if "--size" in words else ["--size", "paper"]
    assert sweep.main([*words, *size]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("Error: ") and captured.err.count("\n") == 1
    for part in said:
        assert part in captured.err
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cant_be_used_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert sweep.main(["colors", "--dir", str(tmp_path / "file")]) == 2
    assert "--dir" in capsys.readouterr().err


def test_the_dry_run_lists_commands_and_runs_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["vgg-single", "iteration", "--vgg-weights", "file:there/vgg.h5", "--dry-run", "--only", "vgg-*-34*"]
    assert sweep.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "vgg-pool2-filter-34 (vgg-single, iteration)"
    assert lines[1].startswith(
        "  python -m pir_tf.experiments.run laptop --interactions.objective vgg:pool2:filters=34 "
    )
    assert "--first-round vgg-pool2-filter-34 " in lines[3]
    assert lines[-1] == "2 experiments. Nothing was run."
    assert list(tmp_path.iterdir()) == []


def test_a_weights_file_that_is_not_there_is_refused_before_anything_starts(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["vgg-single", "--vgg-weights", "file:somewhere/vgg.h5", "--dir", str(tmp_path / "sweep")]
    monkeypatch.setenv("PIR_TF_WEIGHTS", str(tmp_path / "weights"))
    assert sweep.main(words) == 2
    said = capsys.readouterr().err
    assert "--vgg-weights names somewhere/vgg.h5" in said and said.count("\n") == 1
    assert not (tmp_path / "sweep").exists()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vgg.h5").touch()
    assert sweep.main([*words, "--time-limit", "0"]) == 0


def test_a_file_that_is_there_is_named_by_its_whole_path_so_that_every_process_finds_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vgg.h5").touch()
    weights = weights_of(parse(["colors", "--vgg-weights", "file:vgg.h5", "--inception-weights", "file:other.h5"]))
    assert weights.vgg == f"file:{tmp_path / 'vgg.h5'}"
    assert weights.inception == "file:other.h5"


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit) as end:
        sweep.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for (
        option
    ) in "--size --dir --jobs --only --limit --time-limit --dry-run --vgg-weights --vgg-layers --ray --cpus".split():
        assert option in text
