"""The conformance kit: checks of each promise of :mod:`interestlab.contract` for your class.

Four lines test a plugin::

    from interestlab.testing import DynamicsTests
    from my_package import MyDynamics

    class TestMyDynamics(DynamicsTests):
        plugin = MyDynamics

:class:`EncoderTests`, :class:`FusionHeadTests`, :class:`DynamicsTests`, :class:`ObjectiveTests` and :class:`SourceTests` take
options as class attributes:

``init_args``
    arguments of the constructor; ``dim`` is set automatically for kinds that have it. Those of a source name existing files;
    a fixture may write them and set ``self.init_args``.
``expected_failures``
    ``{check: reason}``. An expected failure that passes, has no reason, or names no check is itself a failure.
``values``
    encoders only: five values for :meth:`~interestlab.contract.Encoder.preprocess`, if it does not read plain texts.

Each check is one test, ``TestMyDynamics::test_contract[causality]``, so ``pytest -k causality`` runs it alone. A check is
a method ``check_NAME`` of :class:`EncoderChecks`, :class:`FusionHeadChecks`, :class:`DynamicsChecks`,
:class:`ObjectiveChecks` or :class:`SourceChecks` whose docstring is the promise. Outputs are
checked after adding small noise to each trainable parameter, so that branches initialised with zeros have an effect. An
objective that samples is compared by the mean over many seeds.

The checks do not need pytest. ``interestlab plugins check NAME`` prints their results. :func:`check_plugin` runs them and
returns an :class:`Outcome` for each; :func:`checks_for` lists them as functions of a :func:`subject`, the plugin under test::

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
