"""Bias and noise of the gradient under amortised encoding, against exact training.

A model is trained with ``--share``, with a table of vectors that is filled at the start and never refreshed, so that its
vectors become stale. After each number of ``--steps`` the gradient of the encoder's trained weights is computed on the
current batch without dropout: exactly; and for each of ``--samples`` samples of the values to encode, once with the stale
table and once with the same table refreshed.

- **bias**: norm of the expected gradient minus the exact one, relative to the norm of the exact gradient. With a table that
  is up to date the expectation is the exact gradient, so the bias is the mean difference between the two gradients of a
  sample. Its squared norm is estimated without the noise of the samples, from the inner products of different samples;
  where the estimate is negative, 0 is printed.
  The number in parentheses is the distance of the plain mean of the samples from its expectation: a smaller bias is not
  distinguished from 0.
- **bias of a refreshed table**: the same estimate for the refreshed table minus the exact gradient; 0 up to noise.
- **noise**: root mean square distance of the gradient of a single sample from the exact one, with the refreshed table, on the
  same scale.
- **age**: mean age, in training steps, of the vectors that the step reads.

    python -m benchmarks.amortised_bias [--interactions FILE --items FILE] [--share 0.1] [--steps 1 10 40] [--out results.json]
"""
