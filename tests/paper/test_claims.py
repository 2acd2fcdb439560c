"""`pir-tf claims`: from directories to the table, its files and the README's copy."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from claim_cases import EVERYTHING, rows
from many_rows import config, write_run

from pir_tf.errors import InputError
from pir_tf.evaluation.channels import channel_means
from pir_tf.paper.claims.command import main
from pir_tf.paper.claims.evidence import Evidence
from pir_tf.paper.claims.list import CLAIMS
from pir_tf.paper.claims.table import BEGIN, COLUMNS, END, as_text, between_marks, block, judge, page, write_into
from pir_tf.paper.rows import COLUMNS as ROW_COLUMNS
from pir_tf.paper.rows import read_rows, records, row_of, write_rows

ROOT = Path(__file__).resolve().parents[2]
WHY = "fc6 needs weights that 'file' lacks"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A sweep of three single colours, with a filter of fc6 that couldn't be run, and its claims."""
    root = tmp_path_factory.mktemp("made")
    for name, d in (("red", 3.0), ("green", 2.0), ("blue", 4.0)):
        run = write_run(root / "sweep" / f"color-{name}", d, objective=f"color:{name}")
        (run / "evaluation" / "done.json").write_text('{"seconds": 7.0}')
    why = {"suite": "vgg-single", "name": "fc6", "status": "not run", "reason": f"{WHY}: use imagenet"}
    lines = [row_of(config("vgg:fc6:filters=7"), {}, experiment="fc6") | why]
    write_rows(root / "sweep" / "results.csv", lines, (*why, *ROW_COLUMNS))
    (root / "README.md").write_text(f"# x µ\n\n{BEGIN}\nold\n{END}\n\nend\n", encoding="utf-8")
    assert main([str(root / "sweep"), "--to", str(root / "out"), "--readme", str(root / "README.md")]) == 0
    return root


@pytest.mark.slow
def test_the_files_agree_name_no_directory_and_making_them_again_changes_nothing(made, capsys):
    found = json.loads((made / "out" / "claims.json").read_text())
    assert found["runs"] == ["sweep"] and found["experiments"] == 3
    assert found["claims"] == records(read_rows(made / "out" / "claims.csv", COLUMNS))
    assert len(found["claims"]) == len(CLAIMS) == sum(found["verdicts"].values())
    assert found["notes"] == [f"fc6: not run ({WHY}: use imagenet)."]
    rows = {row["key"]: row for row in found["claims"]}
    colors, fc6 = rows["raises single color"], rows["poor vgg single fc6"]
    assert (colors["verdict"], colors["n"], colors["seconds"]) == ("reproduced", 3, 21.0)
    assert colors["command"] == "pir-tf sweep colors --size laptop"
    assert (fc6["verdict"], fc6["remark"]) == ("not run", f"weights not available offline ({WHY})")
    texts = [path.read_text() for path in (*sorted((made / "out").iterdir()), made / "README.md")]
    assert between_marks(texts[2], "page")[1] == between_marks(texts[3], "readme")[1]
    assert texts[3].startswith("# x µ\n\n<") and texts[3].endswith(">\n\nend\n") and "`pir-tf claims sweep`" in texts[2]
    assert not any(str(place) in text for text in texts for place in (made, Path.home()))
    before = {path: path.read_bytes() for path in (*(made / "out").iterdir(), made / "README.md")}
    assert main([str(made / "sweep"), "--to", str(made / "out"), "--readme", str(made / "README.md")]) == 0
    assert {path: path.read_bytes() for path in (*(made / "out").iterdir(), made / "README.md")} == before
    assert "3 of 3 improved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "No runs were given, expected run directories"),
        (["{here}"], "holds no config.json"),
        (["{made}/sweep", "--readme", "{here}/absent.md"], "is no file, expected a README"),
        (["{made}/sweep", "--to", "{made}/README.md"], "can't be used"),
        (["{made}/sweep", "--tp", "x"], "see pir-tf claims --help"),
    ],
)
def test_mistakes_are_one_sentence(made, tmp_path, capsys, words, said):
    assert main([word.format(here=tmp_path, made=made) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ") and said in error and error.count("\n") == 1


def test_a_run_s_results_have_the_channel_means_of_its_images(smoke):
    run, _ = smoke
    found = json.loads((run / "evaluation" / "results.json").read_text())["channel_means"]
    with np.load(run / "evaluation" / "samples.npz") as samples:
        for when in ("before", "after"):
            assert found[when] == channel_means(samples[when])


def test_the_block_and_the_page_have_a_line_for_each_claim_that_says_everything():
    table = judge(Evidence(rows(EVERYTHING)))
    text = block(table, "pir-tf claims x")
    lines = text.splitlines()
    assert lines[0] == BEGIN and lines[-1] == END
    counts = [f"{sum(row['verdict'] == verdict for row in table)} {verdict}" for verdict in ("reproduced", "not run")]
    assert f"{len(table)} claims: {counts[0]}, " in text and f"{counts[1]}. Made by `pir-tf claims x`." in text
    columns = [line.replace("\\|", "").count("|") for line in lines if line.startswith("|")]
    assert columns == [8] * (len(table) + 2)
    row = {**table[0], "claim": "a | b", "ours": "3 of 3 improved", "n": 3, "verdict": "reproduced", "remark": "since"}
    row |= {"command": "sweep", "commit": "0123456", "hardware": "2 CPU cores", "seconds": 192.0, "runs": 3}
    unknown = {**row, "commit": "", "hardware": "", "seconds": None, "runs": 1}
    text = block([row, row, {**row, "command": "another"}, unknown], "x")
    assert " | a \\| b | " in text
    assert "| 3 of 3 improved; n = 3 | reproduced | since | 1; 0123456, 2 CPU cores, 3 min 12 s in 3 runs |" in text
    assert "Commands:\n\n1. `sweep`\n2. `another`\n" in text and "| 2; 0123456" in text
    assert "| 1; commit unknown, hardware unknown, time unknown in 1 run |" in text
    text = page(table, "x", ["one has no results yet."])
    for row in table:
        rule = f"reproduced: {row['reproduced_if']}; partly: {row['partly_if']}."
        assert f"- **{row['claim']}** ({row['section']}): {rule}" in text
    for width in (70, 120):  # the terminal's
        lines = as_text(table, width).splitlines()
        assert max(map(len, lines)) <= width and sum(bool(line[:1].strip()) for line in lines) == len(table) + 1
        assert "here: " not in as_text([{**table[0], "ours": "", "n": 0}], width)
    assert text.endswith("## Left out\n\n- one has no results yet.\n") and "Left out" not in page(table, "x", [])


def test_a_file_without_its_marks_is_refused_and_stays(tmp_path):
    readme = tmp_path / "README.md"
    for text in ("nothing", BEGIN, f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}"):
        readme.write_text(text)
        with pytest.raises(InputError, match="once each: put both where the table goes"):
            write_into(readme, "table")
        assert readme.read_text() == text


def test_the_published_files_agree_and_are_of_these_claims():
    (place,) = (ROOT / "experiments").rglob("claims.md")  # made by pir-tf claims with --to and --readme
    pages = [path.read_text(encoding="utf-8") for path in (place, ROOT / "README.md", place.parents[1] / "README.md")]
    tables = [between_marks(text, "page")[1] for text in pages if BEGIN in text]
    assert len(tables) > 1 and len(set(tables)) == 1
    found = records(read_rows(place.with_suffix(".csv"), COLUMNS))
    assert found == json.loads(place.with_suffix(".json").read_text(encoding="utf-8"))["claims"]
    now = [(said.key, claim.text, said.number, *claim.in_words()) for said, claim in CLAIMS.items()]
    assert [
        tuple(row[name] for name in ("key", "claim", "paper", "reproduced_if", "partly_if")) for row in found
    ] == now
    for path in place.parent.glob("claims.*"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.:/])/(?:home|work|root|tmp|Users)\b", text), path.name
