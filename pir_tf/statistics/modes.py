"""How people are asked: one image (`like`, `rating`), two (`pair`) or nine (`grid`). Light: the rating page imports it."""

from typing import Literal, get_args

Mode = Literal["like", "rating", "pair", "grid"]
MODES: tuple[Mode, ...] = get_args(Mode)
