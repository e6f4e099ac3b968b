"""Does pretraining on the shop's own texts help? Probes of Chinese reviews before and after.

A text model is pretrained on a sample of reviews, with each ``--objectives`` and each of ``--trained``. Then a logistic
regression on the frozen vectors of other reviews predicts their sentiment and their category, once per seed. A seed draws the
samples, the masks and the new weights; no review of the probe is pretrained on.

- **base**: the model as it is; **new tokens**: with tokens for the characters that it does not know, and no training.
- **characters**: logistic regression on TF-IDF of single characters and pairs of them, without any text model.
- **perplexity**: of masked or rebuilt tokens in held-out reviews, after pretraining; not comparable between objectives.
- **difference**: of the accuracy from that of ``new tokens``, paired by review, over all seeds, with a normal 95% interval over
  reviews.

The reviews are a Parquet file with the columns ``category``, ``label`` and ``text``.

    python -m benchmarks.pretraining --reviews reviews.parquet [--seeds 0 1 2] [--steps 60] [--out results.json]
"""
