"""The table of claims as text."""

import pytest
from claim_cases import everything

from pir_tf.errors import InputError
from pir_tf.paper.claims.judge import judge
from pir_tf.paper.claims.rules import Evidence
from pir_tf.paper.claims.table import BEGIN, END, as_text, between_marks, block, page, write_into

ROWS = judge(Evidence(everything()))


def test_the_block_has_a_line_for_each_claim_and_counts_them():
    text = block(ROWS, "pir-tf claims x")
    lines = text.splitlines()
    assert lines[0] == BEGIN and lines[-1] == END
    assert sum(line.startswith("| ") for line in lines) == len(ROWS) + 1
    counts = {verdict: sum(row["verdict"] == verdict for row in ROWS) for verdict in ("reproduced", "not run")}
    assert (
        f"{len(ROWS)} claims: {counts['reproduced']} reproduced, " in text and f"{counts['not run']} not run." in text
    )
    assert "Made by `pir-tf claims x`." in text
    assert all(line.replace("\\|", "").count("|") == 8 for line in lines if line.startswith("|"))


def test_a_line_says_everything():
    row = {**ROWS[0], "claim": "a | b", "ours": "3 of 3 improved", "n": 3, "verdict": "reproduced", "remark": "since"}
    row |= {
        "command": "pir-tf sweep colors",
        "commit": "0123456",
        "hardware": "2 CPU cores",
        "seconds": 192.0,
        "runs": 3,
    }
    assert " | a \\| b | " in block(
        [row], "x"
    ) and "| 3 of 3 improved; n = 3 | reproduced | since | 1; 0123456, 2 CPU cores, 3 min 12 s in 3 runs |" in block(
        [row], "x"
    )
    unknown = {**row, "commit": "", "hardware": "", "seconds": None, "runs": 1}
    assert "Commands:\n\n1. `pir-tf sweep colors`\n" in block([row, row], "x")
    assert "| 2; 0123456" in block([{**row, "command": "another"}, row], "x")
    assert "| 1; commit unknown, hardware unknown, time unknown in 1 run |" in block([unknown], "x")


def test_the_page_has_every_rule_and_what_was_left_out():
    text = page(ROWS, "x", ["one has no results yet."])
    for row in ROWS:
        assert (
            f"- **{row['claim']}** ({row['section']}): reproduced: {row['reproduced_if']}; partly: {row['partly_if']}."
            in text
        )
    assert text.endswith("## Left out\n\n- one has no results yet.\n")
    assert "Left out" not in page(ROWS, "x", [])


def test_the_terminal_s_table_fits():
    for width in (70, 120):
        text = as_text(ROWS, width)
        assert max(map(len, text.splitlines())) <= width
        assert len([line for line in text.splitlines() if line[:1].strip()]) == len(ROWS) + 1
    assert "here: " not in as_text([{**ROWS[0], "ours": "", "n": 0}], 100)


def test_only_what_is_between_the_marks_changes(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# x\n\nbefore µ\n\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    table = block(ROWS, "x")
    write_into(readme, table)
    assert readme.read_text(encoding="utf-8") == f"# x\n\nbefore µ\n\n{table}\nafter\n"
    write_into(readme, table)
    assert between_marks(readme.read_text(encoding="utf-8"), "x")[1] == table


@pytest.mark.parametrize("text", ["nothing", BEGIN, f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}"])
def test_a_file_without_its_marks_is_refused_and_stays(tmp_path, text):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(InputError, match="once each: put both where the table goes"):
        write_into(readme, "table")
    assert readme.read_text() == text
    with pytest.raises(InputError, match="is no file"):
        write_into(tmp_path / "absent.md", "table")
