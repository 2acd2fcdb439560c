"""Events of a team's own page to interactions, by a rule that the config names and the report states (section 2.2).

A rule lists what makes an impression positive: `click`, `share`, and `dwell:SECONDS` for an image looked at for so long. An
impression that was visible and has none of it counts as not positive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pir_tf.config.checks import engagement
from pir_tf.errors import InputError


@dataclass(frozen=True)
class Rule:
    """What makes an impression of a team's own page a positive one.

    Attributes:
        click: Whether a click does.
        share: Whether sharing does.
        dwell: Seconds of looking that do; infinite where looking doesn't.
    """

    click: bool = True
    share: bool = True
    dwell: float = math.inf

    @classmethod
    def parse(cls, text: str) -> Rule:
        """The rule of words with commas between them: `click`, `share`, `dwell:SECONDS`.

        Raises:
            InputError: Another word, or none.
        """
        found = engagement(text)
        if found is None:
            raise InputError(
                f"The rule of engagement is {text!r}, expected click, share and dwell:SECONDS, above 0, each once, with commas "
                "between them: correct it."
            )
        return cls(*found)

    def positive(self, exposure: Mapping[str, float]) -> bool:
        """Whether an impression with these events counts as positive.

        Args:
            exposure: `click` and `share` where they happened, `dwell` in seconds.
        """
        clicked = self.click and exposure.get("click", 0) > 0
        shared = self.share and exposure.get("share", 0) > 0
        return clicked or shared or exposure.get("dwell", 0.0) >= self.dwell

    def sentence(self) -> str:
        """The rule in words, for a report."""
        what = [name for name, used in (("clicked", self.click), ("shared", self.share)) if used]
        if self.dwell < math.inf:
            what.append(f"looked at for {self.dwell:g} s or more")
        said = " or ".join([", ".join(what[:-1]), what[-1]] if what[:-1] else what)
        return f"An image shown on the team's own page counts as liked when it was {said}."
