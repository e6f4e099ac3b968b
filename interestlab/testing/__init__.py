"""The conformance kit: each promise of :mod:`interestlab.contract` as one check on your class.

Four lines test a plugin::

    from interestlab.testing import DynamicsTests
    from my_package import MyDynamics

    class TestMyDynamics(DynamicsTests):
        plugin = MyDynamics

:class:`EncoderTests`, :class:`FusionHeadTests`, :class:`DynamicsTests`, :class:`ObjectiveTests` and :class:`SourceTests` take
options as class attributes:

``init_args``
    arguments that the constructor needs; ``dim`` is given where the kind has one. A source's name files that are there: a
    fixture may write them, and set ``self.init_args``.
``expected_failures``
    ``{check: reason}``. A declared failure that passes, or has no reason, or names no check, is itself a failure.
``values``
    encoders only: what :meth:`~interestlab.contract.Encoder.preprocess` is tried on, where it does not read plain words.

Each check is one test, ``TestMyDynamics::test_contract[causality]``, so ``pytest -k causality`` runs it alone. A check is
a method ``check_NAME`` of :class:`EncoderChecks`, :class:`FusionHeadChecks`, :class:`DynamicsChecks`,
:class:`ObjectiveChecks` or :class:`SourceChecks` whose docstring is the promise. What a part computes is looked at after
each trainable parameter was moved a little, as training will: a branch that starts at zero cannot hide what it does. An
objective may sample: it is judged by the mean of many draws.

The checks need no pytest. ``interestlab plugins check NAME`` prints what holds. :func:`check_plugin` runs them and returns
an :class:`Outcome` for each; :func:`checks_for` lists them as functions of a :func:`subject`, the plugin under test::

    for outcome in check_plugin(MyDynamics, expected_failures={"autocast": "a solver without bfloat16"}):
        print(outcome.check, outcome.status, outcome.message)
"""

from interestlab.testing._checks import Checks, ContractError
from interestlab.testing._data import pad_rows
from interestlab.testing._dynamics import DynamicsChecks
from interestlab.testing._encoder import EncoderChecks
from interestlab.testing._fusion import FusionHeadChecks
from interestlab.testing._objective import ObjectiveChecks
from interestlab.testing._pytest import DynamicsTests, EncoderTests, FusionHeadTests, ObjectiveTests, SourceTests
from interestlab.testing._run import Outcome, check_plugin, checks_for, subject
from interestlab.testing._source import SourceChecks

__all__ = [
    "Checks",
    "ContractError",
    "DynamicsChecks",
    "DynamicsTests",
    "EncoderChecks",
    "EncoderTests",
    "FusionHeadChecks",
    "FusionHeadTests",
    "ObjectiveChecks",
    "ObjectiveTests",
    "Outcome",
    "SourceChecks",
    "SourceTests",
    "check_plugin",
    "checks_for",
    "pad_rows",
    "subject",
]
