"""The bare loop: the same model and training in plain PyTorch."""

from copy import deepcopy

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from benchmarks.harness.reference import DIM, LEARNING_RATE, TEMPERATURE
from benchmarks.harness.timing import Stopwatch
from interestlab.batch import Batch
from interestlab.contract import Dynamics
from interestlab.data.datamodule import InterestData
from interestlab.data.dataset import HistoryDataset
from interestlab.data.sampler import LengthBucketSampler
from interestlab.training.lightning_module import InterestModel
from interestlab.training.seeding import seed_everything_from
from interestlab_objectives.chunked_cross_entropy import chunked_cross_entropy


class BareModel(nn.Module):
    """An embedding per item and a transformer, trained with cross-entropy over the catalogue.

    Args:
        catalogue_size: number of items.
        dynamics: the transformer.
    """

    def __init__(self, catalogue_size: int, dynamics: Dynamics) -> None:
        super().__init__()
        self.embedding = nn.Embedding(catalogue_size, DIM)
        self.dynamics = dynamics

    def forward(self, batch: Batch) -> Tensor:
        """Return the loss of a batch."""
        states = F.normalize(self.dynamics(self.embedding(batch.items), batch.dt, batch.mask), dim=-1)
        is_target = batch.targets >= 0
        catalogue = F.normalize(self.embedding.weight, dim=-1)
        return chunked_cross_entropy(states[is_target], catalogue, batch.targets[is_target], scale=1 / TEMPERATURE)


class BareLoop:
    """Training epochs of :class:`BareModel`.

    Args:
        data: log and settings; the loop makes its own batches of them, in the order in which the framework makes them.
        progress: shows the steps.
        clock: name of the clock.
    """

    def __init__(self, data: InterestData, progress: Progress, clock: str) -> None:
        dataset = HistoryDataset(data.log, "train", data.max_history, data.exclude_history)
        self.sampler = LengthBucketSampler(dataset.lengths, data.batch_events, shuffle=True, seed=data.seed)
        self.loader: DataLoader[Batch] = DataLoader(
            dataset,
            sampler=self.sampler,
            batch_size=None,
            pin_memory=torch.cuda.is_available(),
            num_workers=data.num_workers,
        )
        self.progress, self.seed, self.clock = progress, data.seed, clock

    def copy_weights(self, model: InterestModel) -> None:
        """Copy the weights of the framework's model, before its first step."""
        with torch.no_grad():
            vectors = model.backbone.embed_items(np.arange(len(model.log_q)))  # in the order of the catalogue, not of the field
        self.device = model.device
        self.stopwatch = Stopwatch(self.clock, self.device)
        self.model = BareModel(len(vectors), deepcopy(model.backbone.dynamics)).to(self.device).train()
        self.model.embedding.weight.data.copy_(vectors)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)

    def train_epoch(self, epoch: int) -> tuple[float, list[Tensor]]:
        """Train for one epoch.

        Returns:
            the seconds, and the loss of each step.
        """
        self.sampler.set_epoch(epoch)
        task = self.progress.add_task(f"bare loop, {name_epoch(epoch)}", total=len(self.sampler))
        losses = []
        start = self.stopwatch.now()
        for step, cpu_batch in enumerate(self.loader):
            batch = Batch(*(t.to(self.device, non_blocking=True) for t in cpu_batch))
            if epoch == 0:  # as the framework seeds each step, so that the losses of the warm-up can be compared
                seed_everything_from([self.seed, epoch, step, 0])
            self.optimizer.zero_grad()
            loss = self.model(batch)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
            self.progress.advance(task)
        seconds = self.stopwatch.now() - start
        self.progress.remove_task(task)
        return seconds, losses


def name_epoch(epoch: int) -> str:
    """Return the name of an epoch in the progress bar; the first one is the warm-up."""
    return f"epoch {epoch}" if epoch else "warm-up"
