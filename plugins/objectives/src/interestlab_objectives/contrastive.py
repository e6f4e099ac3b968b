"""Contrastive learning on augmented histories."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.argument_checks import require_positive
from interestlab_objectives.augmentations import Augmentation, History, crop, mask, reorder
from interestlab_objectives.dot_products import dot_products


class Contrastive(Objective):
    """An auxiliary term: two augmented views of one history are closer than views of other users (CL4SRec, DuoRec).

    The loss is InfoNCE over the batch of one process: two augmented histories of a user are the positive pair, those of the
    other users are negatives. With ``augmentations=[dropout]`` the two views differ only in the dropout of the
    dynamics, as in the unsupervised part of DuoRec.

    Source: CL4SRec, Xie et al. 2022, arXiv 2010.14395; DuoRec, Qiu et al. 2022, arXiv 2110.05730.

    Args:
        augmentations: each view of each user uses one of these, sampled uniformly. ``crop`` keeps a contiguous
            part, ``mask`` zeroes events, ``reorder`` shuffles a contiguous part, ``dropout`` changes nothing.
        crop_ratio: share of events that ``crop`` keeps, above 0 and at most 1.
        mask_ratio: share of events that ``mask`` zeroes, between 0 and 1.
        reorder_ratio: share of events that ``reorder`` shuffles, between 0 and 1.
        temperature: divides the similarities.

    Raises:
        ValueError: ``augmentations`` is empty or holds an unknown name, or a number is out of its range.
    """

    auxiliary = True

    def __init__(
        self,
        augmentations: list[Augmentation] = ["crop", "mask", "reorder"],  # noqa: B006 (read only)
        crop_ratio: float = 0.6,
        mask_ratio: float = 0.3,
        reorder_ratio: float = 0.6,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        available: dict[str, Callable[[History], History]] = {
            "crop": lambda history: crop(history, crop_ratio),
            "mask": lambda history: mask(history, mask_ratio),
            "reorder": lambda history: reorder(history, reorder_ratio),
            "dropout": lambda history: history,
        }
        if not augmentations or set(augmentations) - set(available):
            raise ValueError(f"augmentations must be one or more of {', '.join(available)}, not {list(augmentations)}")
        require_positive(crop_ratio=crop_ratio, temperature=temperature)
        if not (crop_ratio <= 1 and 0 <= mask_ratio <= 1 and 0 <= reorder_ratio <= 1):
            ratios = f"crop_ratio ({crop_ratio}), mask_ratio ({mask_ratio}) and reorder_ratio ({reorder_ratio})"
            raise ValueError(f"{ratios} must be between 0 and 1")
        self.augmentations = [available[name] for name in augmentations]
        self.temperature = temperature

    def forward(self, step: Step) -> Tensor:
        views = torch.cat([self.encode_view(step), self.encode_view(step)])
        users = len(step.event_embeddings)
        is_self = torch.eye(2 * users, dtype=torch.bool, device=views.device)
        logits = (dot_products(views, views) / self.temperature).masked_fill(is_self, -torch.inf)
        return F.cross_entropy(logits, torch.arange(2 * users, device=views.device).roll(users))

    def encode_view(self, step: Step) -> Tensor:
        """Augment each history and return the normalised final state of the dynamics.

        Args:
            step: the training step.

        Returns:
            ``[B, D]``, or ``[B, K·D]`` with K interests, of unit length.
        """
        history = History(step.event_embeddings, step.batch.dt, step.batch.mask)
        choice = torch.randint(len(self.augmentations), (len(history.x),), device=history.x.device)
        view = history
        for i, augment in enumerate(self.augmentations):
            view = view.replace_where(choice == i, augment(history))
        z = step.run_dynamics(*view)
        last = z[torch.arange(len(z), device=z.device), view.mask.sum(1) - 1]
        return F.normalize(last.flatten(1), dim=-1)
