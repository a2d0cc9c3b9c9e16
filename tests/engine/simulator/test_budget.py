"""Request budgets: a sliding window a token, and a Retry-After that is true."""

from engine.simulator.budget import MAX_TOKENS, Budget


def test_a_window_slides() -> None:
    budget = Budget(3, 10.0)
    assert [budget.spend("a", at) for at in (0.0, 4.0, 9.0)] == [0, 0, 0]
    assert budget.spend("a", 9.5) == 1
    assert budget.spend("a", 9.9) == 1
    assert budget.spend("a", 10.0) == 0, "refused ones do not count"
    assert budget.spend("a", 11.0) == 3
    assert budget.spend("a", 14.0) == 0


def test_tokens_have_budgets_of_their_own() -> None:
    budget = Budget(1, 10.0)
    assert [budget.spend("a", 0.0), budget.spend("b", 0.0), budget.spend("a", 0.0)] == [0, 0, 10]


def test_the_longest_unused_token_is_forgotten() -> None:
    budget = Budget(1, 1e9)
    for number in range(MAX_TOKENS):
        assert budget.spend(str(number), 1.0) == 0
    assert budget.spend("0", 2.0) > 0
    assert budget.spend("one more", 2.0) == 0
    assert budget.spend("0", 3.0) > 0
    assert budget.spend("1", 3.0) == 0
