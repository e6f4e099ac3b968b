"""The conformance checks on every objective and each of its variants."""

from typing import ClassVar

from interestlab.testing import ObjectiveTests
from interestlab_objectives.adversarial import Fgm, Pgd
from interestlab_objectives.bpr import Bpr
from interestlab_objectives.contrastive import Contrastive
from interestlab_objectives.forecast import Forecast
from interestlab_objectives.gbce import Gbce
from interestlab_objectives.interest import Interest
from interestlab_objectives.next_item import NextItem
from interestlab_objectives.rdrop import Rdrop
from interestlab_objectives.sampled_softmax import SampledSoftmax


class TestNextItem(ObjectiveTests):
    plugin = NextItem


class TestNextItemWithBatchCandidates(ObjectiveTests):
    plugin = NextItem
    init_args: ClassVar = {"candidates": "batch", "temperature": 1.0}


class TestNextItemWithoutLogQ(ObjectiveTests):
    plugin = NextItem
    init_args: ClassVar = {"candidates": "batch", "log_q": False, "chunk_elements": 20}


class TestSampledSoftmax(ObjectiveTests):
    plugin = SampledSoftmax
    init_args: ClassVar = {"num_sampled": 5}


class TestInterest(ObjectiveTests):
    plugin = Interest


class TestInterestWithBatchCandidates(ObjectiveTests):
    plugin = Interest
    init_args: ClassVar = {"candidates": "batch", "negatives": 3}


class TestBpr(ObjectiveTests):
    plugin = Bpr


class TestGbce(ObjectiveTests):
    plugin = Gbce
    init_args: ClassVar = {"negatives": 4}


class TestForecast(ObjectiveTests):
    plugin = Forecast


class TestForecastWithBatchCandidates(ObjectiveTests):
    plugin = Forecast
    init_args: ClassVar = {"candidates": "batch", "window": 2.0}


class TestContrastive(ObjectiveTests):
    plugin = Contrastive


class TestContrastiveWithDropoutOnly(ObjectiveTests):
    plugin = Contrastive
    init_args: ClassVar = {"augmentations": ["dropout"]}


class TestRdrop(ObjectiveTests):
    plugin = Rdrop
    init_args: ClassVar = {"positions": 6}


class TestFgm(ObjectiveTests):
    plugin = Fgm


class TestPgd(ObjectiveTests):
    plugin = Pgd
