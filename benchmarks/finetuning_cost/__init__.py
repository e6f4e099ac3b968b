"""Cost of fine-tuning on item titles: an epoch of interestlab against a plain loop.

The plain loop does what published code does (MoRec, IISAN and similar). For every batch of users it encodes each occurrence
of each item again, with padded titles, through transformers' ``AutoModel`` with PEFT on all layers; then come mean pooling, a
projection, a transformer over the history, softmax over the items of the batch, and AdamW. interestlab encodes each distinct
title of a step once, in chunks of similar length, and only through the layers above the frozen ones; the frozen layers run
once per title before training. Model, batches of users, targets, loss and optimiser are the same. Titles are tokenized in
advance on both sides.

**The timed plain loop is faster than published code**, which also encodes the padding of histories up to ``max_history``, and
pads titles to ``max_length``. Here the plain loop encodes real events only, plus the last target of each user, which is a
candidate, and pads to the longest title of the batch. The effect of each choice is counted in tokens:

1. histories padded to 50 events and titles to ``max_length``: as published
2. histories padded to the longest of the batch
3. real events only
4. titles padded to the longest of the batch: the timed plain loop
5. each distinct title of the batch once
6. in chunks of similar length: interestlab

Measured, in one run:

- **time**: an epoch of the plain loop takes hours on a CPU. Both sides train on the same ``--batches`` of the epoch, every
  k-th in the order of their lengths, and an epoch is extrapolated by targets. Each side is a process. The processes take
  turns batch by batch, in alternating order, after one small warm-up step each, so that other work on the machine slows all
  of them equally. On a busy machine ``--clock=processor`` measures processor time instead of wall time. interestlab's time is
  all the time between two steps of a Lightning ``Trainer``: loading, finding the distinct titles, hooks, logging. Work done
  once before training is reported separately, and also spread over 1 and 10 epochs. Validation and checkpoints are off.
- **memory**: peak of each process (of the GPU, if there is one). A plain loop keeps all activations of a batch, which for
  full fine-tuning of MiniLM are some tens of GB. It therefore runs in pieces of as many tokens as interestlab's chunks, and
  the backward pass of a piece follows its forward pass. The gradient with respect to the vectors of the pieces is computed
  beforehand and **not timed**: unlike interestlab, the plain loop pays neither for memory nor for recomputation, so its time
  is that on a machine with unlimited memory. Its memory is that of one piece times the number of pieces of the largest
  measured batch. All pieces of a batch have the same shape, so only ``--pieces`` of them run, spread evenly, and the rest is
  extrapolated.
- **same model**: without dropout and with copied weights, the losses of a step and of the step after its update must agree,
  with the plain batch in one piece and in several. If they do not, the benchmark stops.

How this grows with the data: an epoch of either side is linear in the events. The share of distinct titles in the events of
a batch falls with the batch (``--batch_events``) and rises with the catalogue. Work done once is linear in the distinct titles.

    python -m benchmarks.finetuning_cost [--interactions FILE --items FILE] [--batches 3] [--max_length 64] [--out results.json]
"""
