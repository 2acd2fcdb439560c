"""Nothing that a rater gets tells the side or the pool of an image: names, headers, lengths, cells and places are tried."""

import secrets

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

import numpy as np
import sqlalchemy
from studies import Browser, event, served

from pir_tf.people import choosing, pools, schema
from pir_tf.people.store import Store
from pir_tf.people.study import Study

KINDS = {"like": ("like", 1), "rating": ("rating", 3), "pair": ("choice", "left"), "grid": ("choice", [0])}
LIMIT = 5.0
"""Standard errors; 1000 features of an honest server reach it once in 2000 runs."""


def begin(where, mode, names, images):
    """A study whose images are flat on one side and noise on the other, so that any packing would show."""
    rng = np.random.default_rng(1)
    store = Store(where, create=True)
    with store.writing() as connection:
        key = pools.begin(connection, Study(mode=mode, answers_per_rater=10**6))["study"]
        for number, name in enumerate(names):
            made = rng.integers(0, 256, (images, 12, 12, 3), np.uint8)
            flat = np.arange(images) % 2 == 0 if name == "proof" else np.full(images, number == 0)
            made[flat] = made[flat, :1, :1]
            sides = ["before", "after"] * (images // 2) if name == "proof" else [""] * images
            ids = [f"{name}-{i}" for i in range(images)]
            pools.fill(connection, key, 1, name, made, ids, labels=np.arange(images) // 2 % 2, sides=sides)
            pools.open_pool(connection, key, 1, name, 0)
    store.close()


def observe(server, mode, raters, places):
    """What raters get, as (features, picture's name) of each image; the pictures themselves of the first places alone."""
    seen, pictures = [], 6 if mode == "grid" else 24
    state = server._server.config.app.state
    for _ in range(raters):
        browser = Browser(server).join()
        while True:
            for limit in (state.limits, state.joins, state.looks):
                limit._left.clear()
            _, reply, headers = browser.ask("POST", "/api/events", {"ahead": 8})
            if not reply["slots"] or reply["slots"][0]["place"] > places:
                break
            for order, slot in enumerate(reply["slots"]):
                for cell, image in enumerate(slot["images"]):
                    name = image["src"].split("/")[2].removesuffix(".png")
                    found = {f"letter {i} of the name": letter for i, letter in enumerate(name)}
                    found |= {"cell": cell, "address": len(image["src"]), "size": (image["width"], image["height"])}
                    found |= {"parts": (tuple(slot), tuple(image)), "order in the reply": order}
                    found |= {f"place mod {n}": slot["place"] % n for n in (2, 3, 4, 5, 10)}
                    found |= {
                        f"reply: {key}": value
                        for key, value in headers.items()
                        if key not in ("date", "content-length")
                    }
                    if slot["place"] <= pictures:
                        status, png, headers = browser.ask("GET", image["src"])
                        found |= {"status": status, "bytes": len(png), "begins": png[:45]}
                        found |= {f"picture: {key}": value for key, value in headers.items() if key != "date"}
                    seen.append((found, name))
            browser.post([event(slot, *KINDS[mode]) for slot in reply["slots"]])
    return seen


def truth(server, column):
    """Side or pool by the picture's name; repeats, which show the same again, are left out."""
    with server.store.reading() as connection:
        table, items = schema.impressions, schema.items
        chosen = sqlalchemy.select(table.c.impression, items.c[column]).join(items, items.c.item == table.c.item)
        return dict(connection.execute(chosen.where(table.c.repeat_of == 0)).all())


def tells(seen, true):
    """The features whose values go with the truth by more than `LIMIT` standard errors, the worst first."""
    known = [(found, true[name]) for found, name in seen if name in true]
    names = sorted({value for _, value in known})
    assert len(names) == 2 and len(known) > 200
    share = sum(value == names[1] for _, value in known) / len(known)
    counts = {}
    for found, value in known:
        for feature in found.items():
            count = counts.setdefault(feature, [0, 0])
            count[0] += 1
            count[1] += value == names[1]
    found = []
    for feature, (count, hits) in counts.items():
        if count >= 10:
            found.append((abs(hits - count * share) / np.sqrt(count * share * (1 - share)), feature))
    return [feature for size, feature in sorted(found, key=lambda one: -one[0]) if size > LIMIT]


def what_tells(where, mode, names=("proof",), column="side", raters=4, places=64, images=120):
    begin(where, mode, names, images)
    with served(where) as server:
        return tells(observe(server, mode, raters, places), truth(server, column))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "places", "images"), [("like", 96, 240), ("rating", 96, 240), ("pair", 64, 240), ("grid", 16, 400)]
)
def test_nothing_tells_the_side(tmp_path, mode, places, images):
    assert what_tells(tmp_path / "study.db", mode, places=places, images=images) == []


@pytest.mark.slow
def test_nothing_tells_the_pool(tmp_path):
    assert what_tells(tmp_path / "study.db", "like", ("explore", "random"), "pool", places=64) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["bytes", "cell", "letter", "place", "turns"])
def test_what_would_tell_is_found(tmp_path, monkeypatch, fault):
    """Each of these faults, put in by hand, is seen by the same look."""
    if fault == "bytes":
        import io

        from PIL import Image

        def packed(image):
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, format="PNG")
            return buffer.getvalue()

        monkeypatch.setattr(pools, "flat_png", packed)
        assert any("bytes" in name for name, _ in what_tells(tmp_path / "study.db", "like"))
    elif fault in ("cell", "place"):
        honest = choosing.Chooser._uniform

        def biased(self, *parts):
            return 0.1 if parts[0] == "coin" else 0.99 if parts[0] == "repeat" else honest(self, *parts)

        monkeypatch.setattr(choosing.Chooser, "_uniform", biased)
        found = what_tells(tmp_path / "study.db", "pair" if fault == "cell" else "like")
        assert ("cell" if fault == "cell" else "place mod 2") in [name for name, _ in found]
    elif fault == "letter":
        made = choosing.Chooser._slot

        def named(self, rater, place, key, items, images, **more):
            slot = made(self, rater, place, key, items, images, **more)
            sides = [images.side[images.row[item]] for item in slot.items]
            slot.impressions = [("A" if side == "after" else "B") + secrets.token_urlsafe(18)[1:] for side in sides]
            return slot

        monkeypatch.setattr(choosing.Chooser, "_slot", named)
        assert ("letter 0 of the name", "A") in what_tells(tmp_path / "study.db", "pair")
    else:

        def turns(self, rater, place, pools, images):
            return sorted(pools, key=lambda pool: (pool.pool == "random") == place % 2)

        monkeypatch.setattr(choosing.Chooser, "_in_order", turns)
        found = what_tells(tmp_path / "study.db", "like", ("explore", "random"), "pool")
        assert "place mod 2" in [name for name, _ in found]
