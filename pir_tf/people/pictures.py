"""The pictures that were asked for lately: a reader keeps an SQLite writer waiting, and a picture never changes."""

from __future__ import annotations

import threading
from collections import OrderedDict

from sqlalchemy import select

from pir_tf.people import schema
from pir_tf.people.store import Store

MOST_BYTES = 128 * 2**20


class Pictures:
    """PNGs by the numbers of their images, the latest ones in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def held(self, item: int) -> bytes | None:
        """A picture that is in memory."""
        with self._lock:
            png = self._held.get(item)
            if png is not None:
                self._held.move_to_end(item)
            return png

    def read(self, item: int) -> bytes | None:
        """A picture from the database, None where there is no such image.

        Raises:
            Unavailable: The database can't be reached.
        """
        with self._store.reading() as connection:
            found = connection.execute(select(schema.items.c.png).where(schema.items.c.item == item)).scalar()
        if found is None:
            return None
        png = bytes(found)
        with self._lock:
            if item not in self._held:
                self._held[item] = png
                self._bytes += len(png)
            while self._bytes > MOST_BYTES:
                self._bytes -= len(self._held.popitem(last=False)[1])
        return png
