"""The rating page's own words, all of which an owner may give in another language: a JSON file with the names of `WORDS`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from pir_tf.errors import InputError

LABELS = {
    **{
        "like": "Like",
        "dislike": "Don't like",
        "skip": "Skip",
        "undo": "Undo",
        "next": "Next",
        "agree": "I agree, begin",
    },
    **{"left": "Left", "right": "Right", "tie": "No difference", "bad": "Both bad"},
    **{"worst": "not at all", "best": "very much"},
}
"""On the buttons."""
WORDS = {
    "lang": "en",
    "dir": "ltr",
    **LABELS,
    "keys_on": "Keys on",
    "keys_off": "Keys off",
    "keys_title": "Answer by single keys",
    "progress": "Progress",
    "image": "Image {letter}",
    "image_left": "Left image",
    "image_right": "Right image",
    "script_needed": "This page shows images and keeps your answers safe with JavaScript: allow it for this address and reload.",
    "loading_title": "One moment",
    "loading": "The study can't be reached. This page tries again by itself.",
    "agree_failed": "No connection: please try again.",
    "count": "{done} of {wanted}",
    "waits_one": "1 answer waits for the connection",
    "waits_many": "{count} answers wait for the connection",
    "waits_server_one": "1 answer waits for the server",
    "waits_server_many": "{count} answers wait for the server",
    "unkept": "{waits}: keep this page open",
    "offline": "No connection. Your answers are kept here; new images come when it is back.",
    "busy": "The server is busy. Your answers are kept here; new images come in a moment.",
    "image_coming": "The image is on its way.",
    "image_late": "The image doesn't come. This page tries again by itself; where it never does, something here may block it.",
    "no_images": "There are no new images for you just now. They come by themselves.",
    "paused_title": "A short break for everybody",
    "paused": "The study is paused. Leave this page open: it goes on by itself.",
    "rest_title": "{done} done",
    "rest": "Thank you. There are {left} more, if you like to go on; or stop here and come back with the same link.",
    "go_on": "Go on",
    "stop": "Stop for now",
    "stopped_title": "Thank you",
    "stopped": "You can close this page. The link that you were given brings you back here.",
    "stopped_waits": "Some answers still wait: keep this page open until they are stored. The link that you were given brings "
    "you back here.",
    "done_title": "All done: thank you",
    "done": "You can close this page.",
    "done_code": "Give this code where you were asked for it; then you can close this page.",
    "ended_title": "The study has ended",
    "ended": "Thank you. You can close this page.",
    "link_title": "Open your link",
    "link": "Open the link that you were given, in this browser, to go on.",
    "cookies_title": "Cookies are needed",
    "cookies": "This page knows you by a cookie, which this browser doesn't keep: allow cookies for this address, then open your "
    "link again.",
    "other_link_title": "Another link was opened",
    "wrong_link_title": "This link opens no study here",
    "wrong_link": "Ask whoever gave it to you.",
    "other_link": "Another rater's link was opened in this browser: open your own again to go on.",
}
"""Everything that the page says by itself, in English. Words in braces stand for numbers and letters."""
LONGEST = 400
LANG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_BRACES = re.compile(r"\{(\w*)\}")


def is_utf8(text: str) -> bool:
    """Whether UTF-8, and so every database and page, can write it: it has no halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_words(words: Any, where: str) -> None:
    """Refuses words that the page couldn't say.

    Args:
        words: What was given, by the names of `WORDS`.
        where: What gave it, to begin the sentence.

    Raises:
        InputError: It is no dictionary of texts, or has a name or a word in braces that isn't there.
    """

    def require(fits: bool, received: object, expected: str) -> None:
        if not fits:
            raise InputError(f"{where} has {received}, expected {expected}: change it.")

    require(isinstance(words, dict), f"a {type(words).__name__}", "words by their names")
    unknown = [str(name) for name in words if name not in WORDS]
    names = "names that `pir-tf people words` prints"
    require(not unknown, f"the name{'s' if len(unknown) > 1 else ''} {', '.join(unknown)}", names)
    for name, text in words.items():
        said, most = f"{name} = {str(text)[:80]!r}", 60 if name in LABELS else LONGEST
        require(isinstance(text, str) and 0 < len(text) <= most, said, f"a text of 1 to {most} characters")
        require(is_utf8(text), said, "text that UTF-8 can write")
        odd = set(_BRACES.findall(text)) - set(_BRACES.findall(WORDS[name]))
        require(not odd, said, f"no {{...}} but those of {WORDS[name]!r}")
    require(
        bool(LANG.fullmatch(words.get("lang", "en"))), f"lang = {words.get('lang')!r}", "a language like de or pt-BR"
    )
    require(words.get("dir", "ltr") in ("ltr", "rtl"), f"dir = {words.get('dir')!r}", "ltr or rtl")


def read_words(path: str | os.PathLike[str]) -> dict[str, str]:
    """The words of a JSON file; names left out stay English.

    Raises:
        InputError: It is no such file.
    """
    try:
        found: dict[str, str] = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} can't be read ({error}), expected words by their names in JSON, as `pir-tf people words` prints: correct it."
        ) from None
    require_words(found, str(path))
    return found
