"""Training steps of the plain model, in one piece or in several."""

from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.finetuning_cost.data import occurrences
from benchmarks.finetuning_cost.plain_model import PlainModel
from benchmarks.harness.timing import Stopwatch
from interestlab.batch import Batch, Inputs
from interestlab.data.fields import FieldValues


class StepResult(NamedTuple):
    """One training step: the seconds that it takes, the loss, and the tokens that it encodes."""

    seconds: float
    loss: float
    tokens: int


class PlainLoop:
    """Training steps of :class:`PlainModel`.

    Args:
        model: the model.
        titles: titles of the catalogue as tokens.
        log_q: ``[N]`` log of each item's share of the training events, on the device of the model.
        piece_tokens: tokens of a piece; None: a batch is one piece.
        precision: precision, as Lightning's trainer names it.
        stopwatch: times the steps.
    """

    def __init__(
        self,
        model: PlainModel,
        titles: FieldValues,
        log_q: Tensor,
        piece_tokens: int | None,
        precision: str,
        stopwatch: Stopwatch,
    ) -> None:
        self.model, self.codes, self.piece_tokens, self.precision = model, titles.codes, piece_tokens, precision
        self.log_q, self.device, self.stopwatch = log_q, log_q.device, stopwatch
        self.optimizer = model.make_optimizer()
        # One matrix of all titles, as a padding tokenizer returns it.
        inputs = titles.inputs(np.arange(titles.size))
        self.tokens, self.lengths = inputs.values.to(self.device), cast(Tensor, inputs.lengths).to(self.device)

    def autocast(self) -> torch.autocast:
        """Return the context of mixed precision, disabled at full precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16-mixed")

    def encode(self, codes: Tensor, width: int) -> Tensor:
        """Return ``[N, w]`` the vectors of titles, padded to ``width`` tokens."""
        with self.autocast():
            return self.model.encode(Inputs(self.tokens[codes, :width], self.lengths[codes]))

    def train_step(self, cpu_batch: Batch, run_pieces: int = 0) -> StepResult:
        """Train on a batch.

        Args:
            cpu_batch: the batch.
            run_pieces: number of pieces that run and represent all; 0: all. Their time is extrapolated.
        """
        start = self.stopwatch.now()
        batch = Batch(*(t.to(self.device, non_blocking=True) for t in cpu_batch))
        items = occurrences(batch)
        codes = torch.from_numpy(self.codes[items.cpu().numpy()].astype(np.int64)).to(self.device)
        has_title, codes = codes >= 0, codes.clamp_min(0)
        width = int(self.lengths[codes].max())
        tokens = len(items) * width
        if self.piece_tokens is None:
            loss = self._backward(self.encode(codes, width), batch, items, has_title)
            self._update()
            return StepResult(self.stopwatch.now() - start, float(loss), tokens)
        seconds = self.stopwatch.now() - start

        encoded = self._encode_untimed(codes, width, self.piece_tokens).requires_grad_(self.model.trains_encoder)
        start = self.stopwatch.now()
        loss = self._backward(encoded, batch, items, has_title)
        seconds += self.stopwatch.now() - start
        seconds += self._run_pieces(codes, width, encoded.grad, run_pieces, self.piece_tokens)
        start = self.stopwatch.now()
        self._update()
        return StepResult(seconds + self.stopwatch.now() - start, float(loss), tokens)

    def activation_memory(self, tokens: int) -> float:
        """Return the MiB of activations of a graph over this many tokens, measured on a piece of the longest titles."""
        width = int(self.lengths.max())
        piece = torch.argsort(self.lengths)[-max(1, 1024 // width) :]
        own = {t.untyped_storage().data_ptr() for t in (*self.model.parameters(), *self.model.buffers(), self.tokens)}
        sizes: dict[int, int] = {}
        alive: list[Tensor] = []  # keeps the tensors alive, so that no address is reused

        def record(tensor: Tensor) -> Tensor:
            alive.append(tensor)
            if (address := tensor.untyped_storage().data_ptr()) not in own:
                sizes[address] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
            self.encode(piece, width)
        return sum(sizes.values()) / 2**20 / (len(piece) * width) * tokens

    def _backward(self, encoded: Tensor, batch: Batch, items: Tensor, has_title: Tensor) -> Tensor:
        with self.autocast():
            loss = self.model.loss(encoded, batch, items, has_title, self.log_q)
        loss.backward()
        return loss.detach()

    def _update(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _run_pieces(self, codes: Tensor, width: int, gradient: Tensor | None, run_pieces: int, piece_tokens: int) -> float:
        """Encode a batch piece by piece, each forward and backward; return the seconds for all pieces."""
        size = max(1, piece_tokens // width)
        starts = np.arange(0, len(codes), size)
        if run_pieces:
            starts = starts[np.unique(np.linspace(0, len(starts) - 1, run_pieces).round().astype(int))]
        titles_run, begin = 0, self.stopwatch.now()
        for start in starts:
            piece = codes[start : start + size]
            titles_run += len(piece)
            if gradient is None:
                with torch.no_grad():
                    self.encode(piece, width)
            else:
                self.encode(piece, width).backward(gradient[start : start + size])
        return (self.stopwatch.now() - begin) * len(codes) / titles_run

    @torch.no_grad()
    def _encode_untimed(self, codes: Tensor, width: int, piece_tokens: int) -> Tensor:
        """Return the vectors that the pieces will compute, so that the gradient there is known; each title once."""
        distinct, index = torch.unique(codes, return_inverse=True)
        by_length = torch.argsort(self.lengths[distinct])
        parts = by_length.split(max(1, piece_tokens // width))
        encoded = [self.encode(distinct[part], int(self.lengths[distinct[part]].max())) for part in parts]
        return torch.cat(encoded)[torch.argsort(by_length)][index]
