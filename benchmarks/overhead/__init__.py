"""Cost of the framework: training speed of interestlab against a bare PyTorch loop.

Both train ``id`` + ``transformer`` + full cross-entropy (cosine, temperature 0.07, D=64) in one run. Measured are:

- **throughput**: ``InterestModel`` and ``InterestData`` under a Lightning ``Trainer`` set up as ``interestlab fit`` does it
  (CSV logger, run folder, no distributed sampler), against a plain loop of the same transformer over an ``nn.Embedding``,
  with the same batches in the same order, the same loss function and AdamW. After one warm-up epoch each, the two take
  turns epoch by epoch. The result is the median of the ratios of neighbouring epochs, since other work on the machine slows
  both alike. The framework's time is all the time between the ends of two epochs, so Lightning's work between epochs
  counts. Validation and checkpoints are off, since the bare loop has none. On a busy machine ``--clock=processor`` counts
  processor time instead. ``--bar`` includes Lightning's progress bar.
- **same model**: the bare loop copies the weights, and in the warm-up seeds the dropout as the framework does. The losses of
  the first step and of the step after the first update must agree; if they do not, the benchmark stops.
- **padding**: share of padding in the events of the training batches.
- **start**: seconds from nothing to the first batch, with an empty cache and again with the cache that now exists. The
  libraries are already imported, and the second start reads the log's files from the disk cache.
- **memory**: peak of the process (of the GPU, if there is one) after each stage, with both models.

How this grows with the data: a cold start is about linear in the rows of the log; a second start only hashes the files. An
epoch is linear in events × items, since every target is scored against the whole catalogue. The framework's own work per
step (hooks and logging, about 2 ms on one CPU core) does not grow. Each step also looks up every item, which is linear in
the items like the loss, but without the loss's factor of targets per batch. Memory is linear in the items: weights,
gradient and two moments, of both models.

``--against CHECKOUT`` compares two revisions. It runs this benchmark from this checkout and from the other one in turns, each
run in a process of its own, and prints the ratio of the two for every measurement. The other checkout gets the same options,
or those in ``--against_options`` if its options have other names. Its ``.venv`` is used if it has one.

    python -m benchmarks.overhead [--interactions FILE --items FILE] [--epochs 3] [--batch_events 2048] [--out results.json]
    python -m benchmarks.overhead --against ../old-checkout --rounds 3 [--epochs 3] [--out results.json]
"""
