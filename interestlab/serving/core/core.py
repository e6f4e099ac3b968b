"""What all operations share: the model that is served, the store, the settings and the metrics."""

import random
from dataclasses import dataclass

from interestlab.serving.core.served import Served, add_stored_items, prepare
from interestlab.serving.index import ExactIndex
from interestlab.serving.index_choice import EXACT_UP_TO
from interestlab.serving.messages import ModelInfo
from interestlab.serving.metrics import Metrics
from interestlab.serving.served_model import ServedModel
from interestlab.serving.store.store import Store


@dataclass(frozen=True)
class Settings:
    """How a core answers.

    Attributes:
        exact_up_to: catalogues up to this size are searched exactly.
        log_exposure: whether lists that were shown are logged.
        explore: probability of a random item in each place of a list.
        seed: seed of this randomness; None: of the operating system.
    """

    exact_up_to: int = EXACT_UP_TO
    log_exposure: bool = False
    explore: float = 0.0
    seed: int | None = None


class Core:
    """The served model and its surroundings. One thread at a time may use it.

    Args:
        model: the model to serve first.
        store: the log and the states.
        settings: how it answers.

    Attributes:
        served: the model that is served.
        metrics: what is counted.
        random: source of random items in lists.
    """

    def __init__(self, model: ServedModel, store: Store, settings: Settings = Settings()) -> None:
        self.store, self.settings, self.metrics = store, settings, Metrics()
        self.random = random.Random(settings.seed)
        self._changed: set[str] | None = None
        self.served = prepare(model, store, settings.exact_up_to)
        self.switch_to(self.served)

    def note_change(self, user_id: str) -> None:
        """Remember that a user changed, if a swap has begun.

        Args:
            user_id: the user.
        """
        if self._changed is not None:
            self._changed.add(user_id)

    def begin_swap(self) -> Served:
        """Remember from now on which users change, and return the served model for a comparison in another thread.

        Its index is exact and over the items as they are now, since an index must not grow while another thread searches it.
        """
        self._changed = set()
        return self.served._replace(item_index=ExactIndex(self.served.model.items.copy()))

    def give_up_swap(self) -> None:
        """Abandon the swap that :meth:`begin_swap` began."""
        self._changed = None

    def switch_to(self, served: Served) -> None:
        """Serve a model from now on.

        Args:
            served: the model; what was read of users who changed since :meth:`begin_swap` is not used.

        Raises:
            DataError: the model can read nothing of an item that was added meanwhile, or the store cannot be written; the old
                model is still served.
        """
        model = served.model
        for position in add_stored_items(model, self.store):
            served.item_index.add(position)
        with self.store.transaction():
            self.store.states.begin_model(model.version, model.stepper.header, str(model.run))
            for item_id, vector in model.items.added():
                self.store.items.put_vector(model.version, item_id, vector.numpy().tobytes())
        for user_id in self._changed or ():
            served.users.forget(user_id)
        self._changed = None
        served.users.store = self.store
        self.served = served
        self.metrics.set_model(model.version, served.item_index.name, served.item_index.recall)

    def describe_model(self) -> ModelInfo:
        """Describe the model that is served."""
        model, index = self.served.model, self.served.item_index
        return ModelInfo(model.version, str(model.run), index.name, index.recall)
