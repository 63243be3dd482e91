"""What is typed to confirm an action repeats a number, a name or a URL, and nothing else."""

import pytest

from agentphone_mcp.policy.proofs import is_same

NUMBER, ABROAD, URL = "+14155550100", "+442079460000", "https://example.com/Hook?a=1"


@pytest.mark.parametrize(
    ("typed", "required"),
    [
        *[
            (typed, NUMBER)
            for typed in (NUMBER, "+1 (415) 555-0100", "415.555.0100", "1-415-555-0100", "(415) 5550100")
        ],
        *[
            (typed, NUMBER)
            for typed in (
                "\u00a0+1\u00a0415\u00a0555\u00a00100\n",
                "＋１４１５５５５０１００",
                "+1\u2011415\u2013555 0100",
            )
        ],
        *[(typed, ABROAD) for typed in (ABROAD, "+44 20 7946 0000", "442079460000")],
        *[(typed, "Zo\u00eb") for typed in ("Zo\u00eb", "Zoe\u0308", "ZO\u00cb", " zo\u00eb ")],
        *[(typed, "Order  Line") for typed in ("Order  Line", "order line", "Order\u00a0Line", "Order\tLine")],
        ("STRASSE 7", "Stra\u00dfe 7"),
        ("ﬁnance", "Finance"),
        (URL, URL),
    ],
    ids=ascii,
)
def test_the_same_written_otherwise_is_a_proof(typed: str, required: str) -> None:
    assert is_same(typed, required)


@pytest.mark.attack("7", "a proof inside other words")
@pytest.mark.parametrize(
    ("typed", "required"),
    [
        *[
            (f"{before}{NUMBER}{after}", NUMBER)
            for before, after in [("NO, do not release ", ""), ("", "?"), ("", " no")]
        ],
        *[
            (typed, NUMBER)
            for typed in (f"tel:{NUMBER}", f"{NUMBER};ext=", f"{NUMBER}x1", f"{NUMBER},{NUMBER}", f"+{NUMBER}")
        ],
        *[
            (typed, NUMBER)
            for typed in ("+1415555010", "+141555501001", "555-0100", "+1-415-JKL-0100", "+442079460000")
        ],
        *[(typed, NUMBER) for typed in ("", "+", "()", "+١٤١٥٥٥٥٠١٠٠")],
        ("020 7946 0000", ABROAD),
        *[
            (typed, "Front Desk")
            for typed in ("not Front Desk", "Front Desk?", "FrontDesk", "Front", "'Front Desk'", "")
        ],
        *[(typed, "Front Desk") for typed in ("Front Desk\u200b", "Fr\u043ent Desk")],
        *[(typed, URL) for typed in (URL.lower(), f"{URL}/", f" {URL}", f"not {URL}", "https://example.com/Hook?a=１")],
        *[("", ""), (" ", ""), (" ", " ")],
    ],
    ids=ascii,
)
def test_anything_besides_is_none(typed: str, required: str) -> None:
    assert not is_same(typed, required)
