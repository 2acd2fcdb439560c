"""The tables of a study. Rows are added and never changed; only `withdraw` removes any.

| table | a row is |
|---|---|
| `studies` | a study: settings, and the secrets of its links and signatures |
| `items` | an image of a pool: pixels as an uncompressed PNG, where it comes from, how likely it was drawn |
| `predictions` | an image's PIR as the estimator saw it when it was offered, the one that `items.estimator` names |
| `controls` | what the owner or a stage did after which event: a pool opened or closed, a pause, an end |
| `raters` | a person, by pseudonym, from their consent on |
| `impressions` | an image handed out to a rater, at a place and a cell of it |
| `events` | what came back: visible, an answer, an undo, or what a team's own page saw |
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

VERSION = 1
"""Of the schema, kept in the table `about`."""

LATER = ("predictions",)
"""Tables that databases of this schema from before they came lack; they are made where that can be."""

POOLS = ("random", "explore", "proof")
"""`random` and `explore` are learned from; only `random` and `proof` are ever reported."""

metadata = MetaData()
_number = BigInteger().with_variant(Integer, "sqlite")
"""Numbers that only grow: SQLite counts by itself in an INTEGER alone, and without AUTOINCREMENT it would give the number of a
deleted last row again, so that a late event could pass for one from before a pool's close."""

about = Table("about", metadata, Column("schema_version", Integer, nullable=False))

studies = Table(
    "studies",
    metadata,
    Column("study", String(32), primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("settings", Text, nullable=False),
    Column("secret", String(64), nullable=False),
    Column("join_token", String(64), nullable=False, unique=True),
    Column("owner_token", String(64), nullable=False, unique=True),
    Column("server_secret", String(64), nullable=False, unique=True),
    Column("created", Float, nullable=False),
)

items = Table(
    "items",
    metadata,
    Column("item", _number, primary_key=True, autoincrement=True),
    Column("study", String(32), nullable=False),
    Column("round", Integer, nullable=False),
    Column("pool", String(16), nullable=False),
    Column("number", Integer, nullable=False),
    Column("image_id", String(200), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("class_index", Integer, nullable=False),
    Column("side", String(8), nullable=False),
    Column("probability", Float, nullable=False),
    Column("generator", String(64), nullable=False),
    Column("estimator", String(64), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("png", LargeBinary, nullable=False),
    UniqueConstraint("study", "round", "pool", "image_id"),
    sqlite_autoincrement=True,
)

predictions = Table(
    "predictions",
    metadata,
    Column("item", _number, primary_key=True, autoincrement=False),
    Column("study", String(32), nullable=False),
    Column("predicted", Float, nullable=False),
)

controls = Table(
    "controls",
    metadata,
    Column("seq", _number, primary_key=True, autoincrement=True),
    Column("study", String(32), nullable=False),
    Column("action", String(16), nullable=False),
    Column("round", Integer, nullable=False),
    Column("pool", String(16), nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("last_event", _number, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Float, nullable=False),
    sqlite_autoincrement=True,
)

raters = Table(
    "raters",
    metadata,
    Column("rater", _number, primary_key=True, autoincrement=True),
    Column("study", String(32), nullable=False),
    Column("key", String(200), nullable=False),
    Column("pseudonym", String(32), nullable=False),
    Column("consented", Float, nullable=False),
    UniqueConstraint("study", "key"),
    UniqueConstraint("study", "pseudonym"),
    sqlite_autoincrement=True,
)

impressions = Table(
    "impressions",
    metadata,
    Column("impression", String(40), primary_key=True),
    Column("study", String(32), nullable=False),
    Column("rater", _number, nullable=False),
    Column("place", Integer, nullable=False),
    Column("cell", Integer, nullable=False),
    Column("item", _number, nullable=False),
    Column("probability", Float, nullable=False),
    Column("shared", Integer, nullable=False),
    Column("repeat_of", Integer, nullable=False),
    Column("block", Integer, nullable=False),
    Column("coin", Integer, nullable=False),
    Column("handed", Float, nullable=False),
    UniqueConstraint("study", "rater", "place", "cell"),
)

events = Table(
    "events",
    metadata,
    Column("seq", _number, primary_key=True, autoincrement=True),
    Column("uuid", String(64), nullable=False),
    Column("study", String(32), nullable=False),
    Column("rater", _number, nullable=False),
    Column("place", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("value", Text, nullable=False),
    Column("at", Float),
    Column("page", String(64), nullable=False),
    Column("body", String(64), nullable=False),
    Column("received", Float, nullable=False),
    UniqueConstraint("study", "uuid"),
    Index("events_of_study", "study", "seq"),
    sqlite_autoincrement=True,
)
