"""Add items after training, and retire items."""

from interestlab.serving.core.core import Core
from interestlab.serving.errors import ConflictError, NotFoundError
from interestlab.serving.messages import ItemResult, ItemWords, clean_id, item_body


def put_item(core: Core, item_id: str, words: ItemWords) -> ItemResult:
    """Add an item by its words, or restore a retired one.

    Args:
        core: the core.
        item_id: its id.
        words: its words; those of an item of the run are not read again.

    Raises:
        ConflictError: the item was added before, with other words.
        DataError: the model can read nothing of the item, or its id is empty or too long.
    """
    items, item_id, body = core.served.model.items, clean_id(item_id), item_body(words)
    position = items.find(item_id)
    if position is None:
        return add_item(core, item_id, words)
    if position >= items.num_trained and core.store.items.body(item_id) != body:
        raise ConflictError("this item_id was added before, with other words; retire it, and add the item with another id.")
    if not items.is_retired[position]:
        return ItemResult(item_id, "known")
    with core.store.transaction():
        core.store.items.set_retired(item_id, False)
    items.set_retired(position, False)
    return ItemResult(item_id, "restored")


def add_item(core: Core, item_id: str, words: ItemWords) -> ItemResult:
    """Add an item that the model does not have.

    Args:
        core: the core.
        item_id: its id.
        words: its words.

    Raises:
        DataError: the model can read nothing of the item.
    """
    model, stored = core.served.model, core.store.items
    vector = model.embed_item(words)
    with core.store.transaction():
        stored.add(item_id, item_body(words))
        stored.put_vector(model.version, item_id, vector.numpy().tobytes())
        stored.set_retired(item_id, False)
    core.served.item_index.add(model.items.add(item_id, vector, model.compare_form(vector)))
    return ItemResult(item_id, "added")


def retire_item(core: Core, item_id: str) -> ItemResult:
    """Stop recommending an item; its events still move states.

    Args:
        core: the core.
        item_id: its id.

    Raises:
        NotFoundError: there is no such item.
        DataError: its id is empty or too long.
    """
    items, item_id = core.served.model.items, clean_id(item_id)
    position = items.find(item_id)
    if position is None:
        raise NotFoundError("there is no item of this item_id.")
    with core.store.transaction():
        core.store.items.set_retired(item_id, True)
    items.set_retired(position, True)
    return ItemResult(item_id, "retired")
