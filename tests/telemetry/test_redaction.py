import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canaryd.telemetry import redaction
from canaryd.telemetry.redaction import HIDDEN, MAX_CHARS, MIN_SECRET_CHARS, redact_event, redact_text, register_secret


@pytest.fixture(autouse=True)
def no_secrets_left_over(monkeypatch):
    monkeypatch.setattr(redaction, "_secrets", set())


def logged(**event):
    return redact_event(None, "info", event)


@pytest.mark.parametrize(
    "text",
    [
        "GET https://user:h0neyt0ken@prom.example/api",
        "https://h0neyt0ken@prom.example",
        "Authorization: Bearer h0neyt0ken",
        "authorization=Basic h0neyt0ken",
        "headers {'Authorization': 'Bearer h0neyt0ken', 'accept': '*/*'}",
        '{"Proxy-Authorization": "h0neyt0ken"}',
        "sent Bearer h0neyt0ken to the server",
        "https://prom.example/q?token=h0neyt0ken&x=1",
        "https://prom.example/q?x=1&access_token=h0neyt0ken",
        "password=h0neyt0ken",
        "password: h0neyt0ken",
        "{'password': 'h0neyt0ken'}",
        "api_key=h0neyt0ken api-key: h0neyt0ken X-Api-Key: h0neyt0ken",
        "client_secret=h0neyt0ken",
        "http_proxy_authorization: h0neyt0ken",
        "x" * 500 + "token=h0neyt0ken",
        "https://bucket.example/o?X-Goog-Signature=h0neyt0ken",
    ],
)
def test_what_looks_like_a_secret_is_hidden(text):
    assert "h0neyt0ken" not in redact_text(text)
    assert HIDDEN in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "errors.rate is 3.2 % on canary (rule: errors.rate > 1%, 2 of 3 in a row)",
        "https://prom.example/api/v1/query?query=up",
        "mail to ops@example.org",
        "the bearer of bad news",
    ],
)
def test_innocent_text_stays_as_it_is(text):
    assert redact_text(text) == text


def test_the_rest_of_a_url_stays_readable():
    assert redact_text("https://u:p4ssw0rd@prom.example/q?token=abc&x=1") == "https://***@prom.example/q?token=***&x=1"


WITHOUT_ASTERISK = st.characters(exclude_characters="*", exclude_categories=["Cs"])


@given(st.text(WITHOUT_ASTERISK, min_size=MIN_SECRET_CHARS, max_size=60), st.text(max_size=40), st.text(max_size=40))
def test_a_registered_secret_never_shows_plain_or_quoted(secret, before, after):
    register_secret(secret)
    for form in (secret, quote(secret, safe="")):
        assert form not in redact_text(f"{before}{form}{after}")


def test_a_secret_is_hidden_wherever_it_sits():
    register_secret("h0neyt0ken")

    class Strange:
        def __str__(self):
            return "Strange(h0neyt0ken)"

    event = logged(
        event="h0neyt0ken",
        nested={"a": [{"b": ("h0neyt0ken",)}]},
        odd=Strange(),
        error=ValueError("h0neyt0ken"),
        raw=b"h0neyt0ken",
        h0neyt0ken="as a key",
        many={"h0neyt0ken"},
    )
    assert "h0neyt0ken" not in json.dumps(event)


def test_the_longer_of_two_secrets_is_hidden_as_a_whole():
    register_secret("h0ney")
    register_secret("h0ney-t0ken")
    assert redact_text("h0ney-t0ken") == HIDDEN


def test_fields_with_telling_names_are_hidden_whatever_they_hold():
    assert logged(password=12345, headers={"Authorization": ["x"], "accept": "y"}) == {
        "password": HIDDEN,
        "headers": {"Authorization": HIDDEN, "accept": "y"},
    }


def test_a_long_value_is_cut_after_it_was_redacted():
    register_secret("h0neyt0ken")
    text = logged(event="x" * (MAX_CHARS - 5) + "h0neyt0ken" + "y" * 10_000)["event"]
    assert len(text) < MAX_CHARS + 10
    assert "h0n" not in text


def test_a_secret_across_the_limit_of_what_is_searched_does_not_show():
    register_secret("h0neyt0ken")
    text = logged(event="x" * (redaction.MAX_INPUT_CHARS - 5) + "h0neyt0ken")["event"]
    assert "h0n" not in text


def test_a_secret_longer_than_any_line_does_not_show_its_beginning():
    key = "h0neyt0ken" * 5_000
    register_secret(key)
    assert logged(event=f"loaded {key}")["event"] == f"loaded {HIDDEN}"


def test_numbers_stay_numbers_and_become_words_where_json_has_none():
    assert logged(a=1, b=2.5, c=True, d=None, e=float("inf")) == {"a": 1, "b": 2.5, "c": True, "d": None, "e": "inf"}


def test_endless_nesting_ends():
    endless = []
    endless.append(endless)
    assert len(json.dumps(logged(endless=endless))) < 1000


def test_a_flood_of_items_is_bounded():
    assert len(logged(items=list(range(100_000)))["items"]) == redaction.MAX_ITEMS


def test_very_short_values_are_not_hidden_because_they_are_in_every_word():
    register_secret("a")
    assert redact_text("a canary") == "a canary"


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "part", ["a-", "token", "secret-", "://", "bearer ", "authorization", "authorization: ", "password=' "]
)
def test_hostile_text_costs_no_time(part):
    for _ in range(20):
        assert redact_text(part * 1_000_000)
