"""The items that came after training, and those that are retired."""

from interestlab.serving.store.database import Database


class AddedItems:
    """The items of a store that are not in the log of the run, and the retired ones of both.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def bodies(self) -> dict[str, bytes]:
        """Return the words of each item, in the order of their arrival."""
        return dict(self._database.query("SELECT item_id, body FROM item ORDER BY rowid"))

    def body(self, item_id: str) -> bytes | None:
        """Return the words of an item; None if it was not added.

        Args:
            item_id: its id.
        """
        row = self._database.query("SELECT body FROM item WHERE item_id = ?", (item_id,)).fetchone()
        return None if row is None else row[0]

    def add(self, item_id: str, body: bytes) -> None:
        """Add an item.

        Args:
            item_id: its id.
            body: its words.
        """
        self._database.query("INSERT INTO item VALUES (?, ?)", (item_id, body))

    def vectors(self, version: str) -> dict[str, bytes]:
        """Return the vectors of the items.

        Args:
            version: version of the model that computed them.
        """
        return dict(self._database.query("SELECT item_id, vector FROM vector WHERE version = ?", (version,)))

    def put_vector(self, version: str, item_id: str, vector: bytes) -> None:
        """Write the vector of an item.

        Args:
            version: version of the model that computed it.
            item_id: its id.
            vector: float32 values.
        """
        self._database.query("INSERT OR REPLACE INTO vector VALUES (?, ?, ?)", (version, item_id, vector))

    def retired(self) -> set[str]:
        """Return the items that must not be recommended."""
        return {item for (item,) in self._database.query("SELECT item_id FROM retired")}

    def set_retired(self, item_id: str, retired: bool) -> None:
        """Retire an item, or restore it.

        Args:
            item_id: its id.
            retired: whether it is retired from now on.
        """
        sql = "INSERT OR IGNORE INTO retired VALUES (?)" if retired else "DELETE FROM retired WHERE item_id = ?"
        self._database.query(sql, (item_id,))
