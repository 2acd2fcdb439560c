"""Tests of the page: it says what was measured and what was not, stands alone, and is well formed."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import drawing
import numpy as np
import pytest
from PIL import Image

from pir_tf.errors import InputError
from pir_tf.report.page import write_report

pytestmark = pytest.mark.slow

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Checks nesting, and collects text, addresses and tags."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.addresses, self.tags, self.images, self.pieces = [], [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.pieces))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.images += [dict(attributes)] if tag == "img" else []
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "poster")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.pieces.append(data)


def read(path):
    return Page(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["gain", "unmeasured", "undefined"])
def test_page_is_well_formed_alone_without_nan_and_shows_the_pictures_beside_it(request, name):
    any_page = request.getfixturevalue(name)
    html, page = any_page.read_text(encoding="utf-8"), read(any_page)
    assert html.startswith("<!DOCTYPE html>")
    assert page.addresses and all(address.startswith("data:") for address in page.addresses)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "http:" not in html and "https:" not in html and "@import" not in html and "url(" not in html
    assert not re.search(r"\b(nan|inf|-inf|null|undefined name)\b", page.text, re.IGNORECASE)
    assert not re.search(r"\bNone\b|\bTrue\b|\bFalse\b|{{|{%", page.text)
    shown = read(any_page).images
    files = {path.read_bytes(): path for path in any_page.parent.glob("*.png")}
    assert not list(any_page.parent.glob(".*"))  # half written
    assert len(shown) == len(files) >= 8
    for attributes in shown:
        data = base64.b64decode(attributes["src"].partition(",")[2])
        assert data in files and len(attributes["alt"]) > 10
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            width, height = float(attributes["width"]), float(attributes["height"])
            assert 131 <= width <= 640 and 87 <= height <= 1024
            if name == "gain":  # the others are drawn coarsely
                assert 300 <= image.width <= 1000 and 200 <= image.height <= 1600
            assert width / height == pytest.approx(image.width / image.height, rel=0.02)
            assert np.asarray(image.convert("L")).std() > 5, files[data].name  # something is drawn


def test_page_of_a_gain(gain):
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    page = read(gain)
    assert re.search(
        r"Tuning raised the mean PIR from 0\.61 to 0\.68 \(d = 2\.\d, 95% interval .*\): a gain\.", page.text
    )
    names = {path.stem for path in gain.parent.glob("*.png")}
    assert names == {
        *"pir-true pir-estimates training-pir calibration tuning-pir tuning-losses tuning-gradients gan-losses".split(),
        *"gan-distance pairs-0 pairs-1 samples-before samples-after samples-real".split(),
    }
    for said in (
        *("not chosen", "simulated users who like blue", "1 min 13 s", "learning_rate", "cores 2 gpus none"),
        *("commit unknown then 0a1b2c3", "keras 3.10.0 then 3.11.0", "python 3.11.9 ", "tensorflow-hub not installed"),
        *(
            "−0.0123 ± 0.0046",
            "4.57 ± 0.11",
            "0.25 ± 0.02",
            "as many steps without the PIR term",
            "VGG16 pool5, weights imagenet",
            "3 blocks of 100 images",
        ),
        *("higher is less diverse", "class 0 is 山脈. ", "1000 new images and their noise-free PIR"),
        "This is round 2: it goes on from the run blue",
        "This generator maximised L saturating instead",
        "This change can't be put down to the PIR term",
    ):
        assert said in page.text, said
    assert ("div", {"class": "verdict gain"}) in page.tags


def test_page_before_anybody_has_judged(unmeasured):
    page = read(unmeasured)
    assert "not measured yet: nobody has reacted to the new images" in page.text
    assert "which proves nothing" in page.text
    assert "Tuning raised" not in page.text and "a gain." not in page.text
    assert "No second judge looked at them" in page.text
    assert "true PIR is not known along the way" in page.text
    names = {path.stem for path in unmeasured.parent.glob("*.png")}
    assert "pir-true" not in names and "gan-losses" not in names and "pir-estimates" in names
    for unsaid in ("How the generator was trained before", "This is round", "put down to", "maximised", "class 0"):
        assert unsaid not in page.text
    assert "(KID) is not measured. No weights of VGG16 were named." in page.text


def test_undefined_numbers_are_said_in_words(undefined):
    text = read(undefined).text
    assert "can't be told" in text
    assert "Cohen's d undefined" in text and "undefined: the true PIR is constant" in text
    assert "There is no log of tuning yet." in text
    assert "too few images" in text and "Collapsed: 31% of the distance" in text
    # Text from outside is escaped.
    html = undefined.read_text(encoding="utf-8")
    assert "<b>bold</b>" not in html and "&lt;b&gt;bold&lt;/b&gt;" in html
    assert "mountain &lt;i&gt;" in html and "mountain <i>" not in html
    assert "before &amp; after are exactly" in html


@pytest.mark.slow
def test_an_unfinished_run_with_a_log_cut_by_a_kill_gives_the_same_page_twice(unmeasured, coarse_report, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(unmeasured.parent.parent, again)
    for part in ("report", "evaluation", "estimator"):
        shutil.rmtree(again / part)
    with open(again / "tuning" / "history.csv", "a") as log:
        log.write("155,0.1,0.2")
    page = coarse_report(again)
    first = page.read_bytes()
    assert (page.parent / "tuning-losses.png").exists() and coarse_report(again).read_bytes() == first


def test_a_directory_without_a_run_is_refused_a_damaged_file_named_and_old_figures_dropped(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        write_report(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "samples.npz").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match=r"samples\.npz can't be read"):
        write_report(tmp_path)
    # One that has only begun.
    shutil.rmtree(tmp_path / "evaluation")
    (tmp_path / "config.json").write_text(json.dumps({"config": {"seed": 3, "interactions.source": "simulated"}}))
    (tmp_path / "report").mkdir(exist_ok=True)
    (tmp_path / "report" / "pir-true.png").write_bytes(b"old")
    page = read(write_report(tmp_path))
    assert "Not measured yet" in page.text and "not finished" in page.text
    assert page.images == [] and not (tmp_path / "report" / "pir-true.png").exists()


def test_the_report_needs_no_tensorflow():
    code = (
        "import sys; import pir_tf.report.page, pir_tf.report.tables; "
        "sys.exit(str({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules) or '') or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_said_of_a_linear_estimator_hangs_on_the_config_not_on_equal_measures(undefined, tmp_path, monkeypatch):
    """`undefined` has bins whose measures are the same at both temperatures."""
    text = read(undefined).text
    assert "temperature 1 (in training)" in text and "other answers and features" not in text
    run = shutil.copytree(undefined.parents[1], tmp_path / "run")
    about = json.loads((run / "config.json").read_text())
    about["config"]["estimator.output"] = "linear"
    (run / "config.json").write_text(json.dumps(about))
    drawing.emptily(monkeypatch.setattr)
    text = read(write_report(run)).text
    assert "temperature 1 (in training)" not in text and text.count("other answers and features") == 2
