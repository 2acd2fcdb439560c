"""Progress bars of the long stages: rate and time left, on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import keras
from tqdm import tqdm

T = TypeVar("T")


class ProgressBar(keras.callbacks.Callback):
    """One bar over all steps of a `fit`, whatever its epochs are.

    Args:
        title: what is being done.
        total: steps in all.
        done: the number of steps done so far, more than 0 in a resumed run; the optimizer's count when not given.
        shown: logs to show beside the bar, by the name that they are shown with.
    """

    def __init__(
        self, title: str, total: int, *, done: Callable[[], int] | None = None, shown: dict[str, str] | None = None
    ) -> None:
        super().__init__()
        self._title, self._total, self._done, self._shown = title, total, done, shown or {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the bar where the run goes on, and says so."""
        first = self._done() if self._done else int(self.model.optimizer.iterations.numpy())
        if first:
            print(f"{self._title}: resumed from its checkpoint of step {first:,} of {self._total:,}", flush=True)
        self._bar = _bar(self._title, self._total, "step", initial=first)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves it."""
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Shows the epoch's means."""
        values = {shown: f"{float(logs[name]):.3g}" for name, shown in self._shown.items() if logs and name in logs}
        self._bar.set_postfix(values, refresh=False)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes it."""
        self._bar.close()


def track(items: Iterable[T], title: str, total: int, unit: str = "image", size: int = 1) -> Iterator[T]:
    """Yields `items` while a bar moves by `size` units each.

    Args:
        items: what to go through.
        title: what is being done.
        total: units in all.
        unit: name of one unit.
        size: units in one item.
    """
    with _bar(title, total, unit) as bar:
        for item in items:
            yield item
            bar.update(min(size, total - bar.n))


def _bar(title: str, total: int, unit: str, initial: int = 0) -> Any:
    return tqdm(
        desc=f"{title:<28}",
        total=total,
        initial=initial,
        unit=f" {unit}",
        ncols=110,
        mininterval=0.5,
        dynamic_ncols=False,
    )
