"""What once got past is held by tests: the case itself, and siblings of the same kind."""

from collections import Counter

from tests import attacks


def test_every_row_has_its_case_and_siblings() -> None:
    tests = Counter(attack.row for attack in attacks.attacks())
    assert not {row for row in attacks.ROWS if not tests[row]}
    assert tests.keys() <= attacks.ROWS.keys()


def test_the_list_is_up_to_date() -> None:
    """`python tests/golden/regenerate.py` writes it."""
    assert attacks.PAGE.read_text(encoding="utf-8") == attacks.page()
