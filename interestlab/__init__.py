"""interestlab: how shoppers' interests migrate and evolve, learnt from what they write and what they do.

Importing this package imports no plugin and no torch.
"""

__version__ = "0.1.0"
