"""Two views of one history are nearer to each other than to those of other users."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives import views
from interestlab_objectives.checks import positive
from interestlab_objectives.dots import dots
from interestlab_objectives.views import Change, View


class Contrastive(Objective):
    """CL4SRec (Xie et al. 2022, arXiv 2010.14395): InfoNCE between two altered histories of each user,
    against those of the other users of the batch (of one process).

    ``changes=[dropout]`` alters nothing: the two differ by the dropout of the dynamics, as in the unsupervised part of DuoRec
    (Qiu et al. 2022, arXiv 2110.05730).

    Args:
        changes: each view of each user is altered by one of these, drawn by chance: ``crop`` keeps a stretch, ``mask`` blanks
            events out, ``reorder`` shuffles a stretch, ``dropout`` changes nothing.
        kept: share of the events that a crop keeps.
        masked: share of the events that are blanked out.
        reordered: share of the events that are shuffled.
        temperature: similarities are divided by it.

    Raises:
        ValueError: no change is named or one is unknown, or a number is out of its range.
    """

    auxiliary = True

    def __init__(
        self,
        changes: list[Change] = ["crop", "mask", "reorder"],  # noqa: B006 (read only)
        kept: float = 0.6,
        masked: float = 0.3,
        reordered: float = 0.6,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        known: dict[str, Callable[[View], View]] = {
            "crop": lambda view: views.crop(view, kept),
            "mask": lambda view: views.mask(view, masked),
            "reorder": lambda view: views.reorder(view, reordered),
            "dropout": lambda view: view,
        }
        if not changes or set(changes) - set(known):
            raise ValueError(f"changes must be some of {', '.join(known)}, not {list(changes)}")
        positive(kept=kept, temperature=temperature)
        if not (kept <= 1 and 0 <= masked <= 1 and 0 <= reordered <= 1):
            raise ValueError(f"kept ({kept}), masked ({masked}) and reordered ({reordered}) must be shares")
        self.changes = [known[name] for name in changes]
        self.temperature = temperature

    def forward(self, step: Step) -> Tensor:
        read = torch.cat([self.read(step), self.read(step)])
        users = len(step.event_embeddings)
        itself = torch.eye(2 * users, dtype=torch.bool, device=read.device)
        logits = (dots(read, read) / self.temperature).masked_fill(itself, -torch.inf)
        return F.cross_entropy(logits, torch.arange(2 * users, device=read.device).roll(users))

    def read(self, step: Step) -> Tensor:
        """``[B, D]``, or ``[B, K·D]``, of unit length: what the dynamics makes of one view of each user."""
        history = View(step.event_embeddings, step.batch.dt, step.batch.mask)
        chosen = torch.randint(len(self.changes), (len(history.x),), device=history.x.device)
        view = history
        for i, change in enumerate(self.changes):
            view = view.where(chosen == i, change(history))
        z = step.run_dynamics(*view)
        last = z[torch.arange(len(z), device=z.device), view.mask.sum(1) - 1]
        return F.normalize(last.flatten(1), dim=-1)
