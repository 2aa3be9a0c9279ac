"""A small budget for each fuzzer; ``python -m tests.security.fuzz --seconds N`` has a larger one."""

import pytest

from tests.security import fuzz


@pytest.mark.parametrize("name", fuzz.FUZZERS)
def test_no_answer_is_a_5xx(name):
    fuzz.run(name, 60)
