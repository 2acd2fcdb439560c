"""Options of a study that is there: what is stated must be what is stored, what is left out stays; and the page's own words."""

import json
import re
import string

import pytest
from studies import Browser, begin, served

from pir_tf.cli import main
from pir_tf.errors import InputError
from pir_tf.experiments import loop
from pir_tf.people import pools
from pir_tf.people.files import page_files, rating_page
from pir_tf.people.store import Store
from pir_tf.people.study import Study
from pir_tf.people.words import WORDS, read_words


def settings(where):
    store = Store(where)
    with store.reading() as connection:
        found = Study.from_json(pools.require(connection)["settings"])
    store.close()
    return found


def test_what_is_stated_must_be_what_is_stored_and_what_is_left_out_stays(tmp_path, capsys):
    where, file = str(tmp_path / "study.db"), tmp_path / "study.toml"
    first = ["--mode", "pair", "--answers-per-rater", "50", "--question", "Nicer?", "--ends", "2030-01-01"]
    assert main(["people", "begin", where, *first]) == 0
    held = settings(where)
    file.write_text("pause_every = 50\n")
    for words in ([], ["--answers-per-rater", "50"], ["--mode", "pair"], ["--settings", str(file)]):
        assert main(["people", "begin", where, *words]) == 0, words
    capsys.readouterr()
    file.write_text("shared = 0.2\nanswers_per_rater = 50\n")
    for words, said in (
        (["--answers-per-rater", "200"], "answers_per_rater 50, not 200"),
        (["--mode", "like"], "mode pair, expected like"),
        (["--question", ""], "question 'Nicer?', not 'Do you like this image?'"),
        (["--ends", ""], "ends '2030-01-01', not ''"),
        (["--settings", str(file)], "shared 0.1, not 0.2"),
    ):
        assert main(["people", "begin", where, *words]) == 2, words
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert settings(where) == held


def test_a_loop_takes_the_mode_of_a_study_that_is_there_and_refuses_another(tmp_path, capsys):
    where = str(tmp_path / "study.db")
    begin(tmp_path / "study.db", mode="grid", name="blue")
    words = [str(tmp_path / "a"), "--people", where, "--study", "blue", "--budget", "1800"]
    given, options = loop.parse(words)
    assert loop.adopt(given, options).mode == "grid"
    assert main(["loop", *words, "--mode", "like"]) == 2
    assert "mode 'grid', not 'like'" in capsys.readouterr().err
    assert main(["loop", *words, "--answers-per-rater", "100"]) == 2
    assert "answers_per_rater 200, not 100" in capsys.readouterr().err


def test_the_pages_words_are_the_owners(tmp_path, capsys):
    assert main(["people", "words"]) == 0
    assert json.loads(capsys.readouterr().out) == WORDS
    file, where = tmp_path / "de.json", tmp_path / "study.db"
    file.write_text(
        json.dumps({"lang": "de", "paused": "</script><b>Pause</b>", "like": "Gefällt mir", "count": "{done}/{wanted}"})
    )
    begin(where)
    assert main(["people", "begin", str(where), "--study", "german", "--words", str(file), "--consent", "Ja"]) == 0
    with served(where) as server:
        pages = [Browser(server, link=link.split("/", 3)[3]) for _, link, _ in server.links()]
        for page, lang, paused in zip(pages, ("en", "de"), (WORDS["paused"], "</script><b>Pause</b>"), strict=True):
            for path in (page.link, ""):  # and with the cookie alone
                text = page.ask("GET", f"/{path}")[1].decode()
                [data] = re.findall(r'<script type="application/json" id="words">(.*?)</script>', text)
                assert json.loads(data)["paused"] == paused and f'<html lang="{lang}" dir="ltr">' in text
        told = pages[1].ask("GET", "/api/study")[1]["words"]
        assert (told["like"], told["dislike"], told["count"]) == ("Gefällt mir", "Don't like", "{done}/{wanted}")
        assert Browser(server).ask("GET", "/")[1].count(b'lang="en"') == 1


def test_every_word_is_used_and_the_page_stays_small():
    script = b"".join(page_files()[name] for name in ("rate.js", "pictures.js")).decode()
    used = set(re.findall(r"words\.(\w+)", script)) | set(
        string.Template(page_files()["rate.html"].decode()).get_identifiers()
    )
    used |= {"waits_one", "waits_many", "waits_server_one", "waits_server_many"}  # put together there
    used |= {"wrong_link_title", "wrong_link"}  # on the page of a link that opens nothing
    assert used - {"words", "textContent"} == set(WORDS)
    assert not re.findall(r'"[A-Z][a-z]+ [^"]*"', script)  # no sentence of the script's own
    sizes = {
        name: len(data) for name, data in page_files().items() if name not in ("owner.html", "owner.js", "owner.css")
    }
    assert sum(sizes.values()) + len(rating_page(WORDS).encode()) < 60_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "can't be read"),
        ("[]", "has a list, expected words by their names"),
        ('{"pause": "x"}', "has the name pause, expected names that `pir-tf people words` prints"),
        ('{"paused": 1}', "has paused = '1', expected a text of 1 to 400 characters"),
        ('{"paused": ""}', "expected a text"),
        ('{"like": "%s"}' % ("x" * 61), "1 to 60 characters"),
        ('{"count": "{done} von {all}"}', "expected no {...} but those of '{done} of {wanted}'"),
        ('{"lang": "<de>"}', "lang = '<de>', expected a language"),
        ('{"dir": "up"}', "expected ltr or rtl"),
    ],
)
def test_words_that_the_page_cannot_say(tmp_path, text, said):
    path = tmp_path / "words.json"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_words(path)
    assert said in str(refused.value) and "\n" not in str(refused.value)
