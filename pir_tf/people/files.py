"""The pages' own files, and the page of a person who opened what isn't there: everyone else gets JSON."""

from __future__ import annotations

import functools
import html
import json
import string
from collections.abc import Mapping
from importlib import resources

KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""Files of the pages that are served by their names."""
ASK = "Open the link that you were given, or ask whoever gave it to you."
LATER = "One moment: the page can't be opened just now, and tries again by itself."
AGAIN = '<meta http-equiv="refresh" content="5">\n'


@functools.cache
def page_files() -> dict[str, bytes]:
    """The files of the pages by their names."""
    folder = resources.files("pir_tf.people").joinpath("page")
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def rating_page(words: Mapping[str, str]) -> str:
    """The rating page, with the words that it says inside: they are there also where nothing else can be reached."""
    data = json.dumps(dict(words), ensure_ascii=False).replace("<", "\\u003c")
    said = {name: html.escape(words[name]) for name in ("lang", "dir", "progress", "keys_title", "script_needed")}
    return string.Template(page_files()["rate.html"].decode()).substitute(said, words=data)


def owner_page_of(study: str) -> str:
    """The owner's page of the study of this key, empty where the page's address or the last link says which."""
    return string.Template(page_files()["owner.html"].decode()).substitute(study=html.escape(study))


def refused_page(why: str, *, again: bool = False, words: Mapping[str, str] | None = None) -> str:
    """A page that says what is wrong, and below it what to do.

    Args:
        why: A sentence, with what to do after a colon if it says so.
        again: Whether the page tries again by itself, which is all that it then says.
        words: An owner's own, in which a link is wrong; None says `why`.
    """
    what, _, todo = (LATER if again else why).rstrip(".").partition(": ")
    said = {"lang": "en", "dir": "ltr", "what": what, "todo": f"{todo[:1].upper()}{todo[1:]}." if todo else ASK}
    if words:
        said = {
            "lang": words["lang"],
            "dir": words["dir"],
            "what": words["wrong_link_title"],
            "todo": words["wrong_link"],
        }
    said = {name: html.escape(text) for name, text in said.items()}
    return string.Template(page_files()["refused.html"].decode()).substitute(said, again=AGAIN if again else "")
