"""A run in memory, ready to be served: float32, with everything that one event or one list needs."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interestlab.errors import DataError
from interestlab.inference.extend import CHECKPOINT, check_reads_words
from interestlab.inference.featurize import EventFeaturizer
from interestlab.model.export import has_constant_state
from interestlab.model.frozen import FrozenModel, embed_all_values
from interestlab.serving.constant_states import ConstantStates
from interestlab.serving.event_windows import EventWindows
from interestlab.serving.items import ItemTable
from interestlab.serving.messages import ItemWords
from interestlab.serving.reader import EventReader, check_event_streams
from interestlab.serving.stepper import Stepper, stack_streams
from interestlab.training.open_run import open_run
from interestlab.training.run_arguments import read_extensions
from interestlab.utils import artifact_store


class ServedModel:
    """A trained model, its items, and how they are read.

    Args:
        run: folder of a finished run.

    Attributes:
        version: hash of the checkpoint and of the items that were added to it.
        frozen: the model in float32.
        items: the items.
        reader: reads events.
        stepper: moves states.

    Raises:
        DataError: the folder has no finished run, or the model reads texts of events.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        model, self.data = open_run(run)
        self.backbone = model.eval().backbone
        tables = [run / entry["table"] for entry in read_extensions(run)]
        self.version = artifact_store.content_hash([run / CHECKPOINT, *tables])[:12]
        check_event_streams(self.backbone, self.data.log.events.collect_schema())
        frozen = model.freeze_catalogue(embed_all_values(self.backbone, self.backbone.item_streams))
        self.featurizer = EventFeaturizer(self.backbone, frozen, self.data)
        self.reader = EventReader(self.featurizer, self.backbone.event_streams)
        self.frozen: FrozenModel = frozen.float()
        self.items = ItemTable(
            self.data.catalogue["item_id"].to_list(), self.frozen.items, self.frozen.catalogue, self.data.log.counts
        )
        self.exclude_history: bool = self.data.exclude_history
        self.stepper = make_stepper(self.frozen, self.items, self.version, self.data.max_history)

    @torch.no_grad()
    def embed_item(self, words: ItemWords) -> Tensor:
        """Return the vector ``[D]`` of an item that is not in the catalogue, as the dynamics reads it.

        Args:
            words: its words.

        Raises:
            DataError: the model reads ids alone, or can read nothing of the item.
        """
        check_reads_words(self.backbone, self.run)
        own = {name: getattr(words, name) for name in ("title", "description", "brand", "category", "price")}
        return self._embed({name: value for name, value in (own | words.columns).items() if value is not None})

    @torch.no_grad()
    def words_state(self, words: str) -> Tensor:
        """Return the user state ``[1, D]`` of a user of whom only some words are known, ready to be compared.

        It is the state after one event, whose item is described by these words.

        Args:
            words: the words.

        Raises:
            DataError: the model can read nothing of them.
        """
        check_reads_words(self.backbone, self.run)
        item = self._embed({"words": words})
        event = self.frozen.fuse_events(item.unsqueeze(0), stack_streams(self.frozen, [()]))
        state, _ = self.frozen.step(self.frozen.init_state(1), event, item.new_zeros(1))
        return self.frozen.normalize(self.frozen.readout(state))

    def _embed(self, described: dict[str, Any]) -> Tensor:
        vector = self.featurizer.embed_items(self.featurizer.parse_events([described], "words"))[0].float()
        if not vector.isfinite().all():
            raise DataError("the embedding of these words is not finite; give other words.")
        return vector

    def compare_form(self, vectors: Tensor) -> Tensor:
        """Return items ready to be compared with user states.

        Args:
            vectors: ``[..., D]`` as the dynamics reads them.
        """
        return self.frozen.normalize(vectors)


def make_stepper(frozen: FrozenModel, items: ItemTable, version: str, max_history: int) -> Stepper:
    """Return the stepper of a dynamics.

    Args:
        frozen: the model in float32.
        items: the items; further ones may be added later.
        version: version of the model.
        max_history: number of events that training reads.
    """
    kind = ConstantStates if has_constant_state(frozen) else EventWindows
    return kind(frozen, items, version, max_history)
