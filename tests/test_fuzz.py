"""The readers on a few of the inputs that ``fuzz_readers.py`` makes by the thousand; each seed makes others."""

from __future__ import annotations

import random

import pytest
from fuzz_readers import KINDS, Count
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CASES = {"prompts": 30, "pictures": 20, "runs": 3, "files": 40}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_a_result_or_one_line(kind):
    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
    @given(seed=st.integers(0, 2**32))
    def tried(seed):
        count = Count(kind, None)
        KINDS[kind][0](count, CASES[kind], random.Random(seed))
        assert (count.faults, count.results + count.refusals) == ({}, CASES[kind])

    tried()
