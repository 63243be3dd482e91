"""Tests of the key, and of the base URLs that it may be used with."""

import pytest

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL, Allowlist
from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.transport import Transport
from tests.support import LIVE_KEY

ATTACKS = {
    "another-host": "https://evil.example",
    "the-vendors-website": "https://agentphone.to",
    "another-subdomain": "https://staging.agentphone.to",
    "plain-http": "http://api.agentphone.to",
    "websocket": "wss://api.agentphone.to",
    "file": "file:///etc/passwd",
    "javascript": "javascript:alert(1)",
    "no-scheme": "api.agentphone.to",
    "scheme-relative": "//api.agentphone.to",
    "userinfo-in-front": "https://api.agentphone.to@evil.example",
    "userinfo-with-password": "https://api.agentphone.to:443@evil.example",
    "userinfo-on-the-vendor": "https://user:pass@api.agentphone.to",
    "empty-userinfo": "https://@api.agentphone.to",
    "vendor-as-a-prefix": "https://api.agentphone.to.evil.example",
    "vendor-as-a-suffix": "https://evilapi.agentphone.to.example",
    "glued-suffix": "https://evil-api.agentphone.to",
    "trailing-dot": "https://api.agentphone.to.",
    "cyrillic-look-alike": "https://аpi.agentphone.to",
    "fullwidth-look-alike": "https://ａｐｉ.agentphone.to",
    "ideographic-dot": "https://api。agentphone。to",
    "fraction-slash": "https://api.agentphone.to⁄.evil.example",
    "zero-width-space": "https://api.agent\u200bphone.to",
    "soft-hyphen": "https://api.agent\u00adphone.to",
    "dotless-i": "https://apı.agentphone.to",
    "punycode": "https://xn--pi-7kc.agentphone.to",
    "broken-punycode": "https://xn--a",
    "dotted-ip": "https://93.184.216.34",
    "decimal-ip": "https://2130706433",
    "decimal-loopback": "http://2130706433",
    "hex-ip": "https://0x5db8d822",
    "hex-loopback": "http://0x7f.0.0.1",
    "octal-loopback": "http://0177.0.0.1",
    "short-loopback": "http://127.1",
    "unspecified-ip": "http://0.0.0.0:8000",
    "private-ip": "http://192.168.0.1",
    "metadata-service": "http://169.254.169.254",
    "v6": "https://[2606:2800:220:1::1]",
    "v6-unspecified": "http://[::]:8000",
    "v6-mapped": "https://[::ffff:93.184.216.34]",
    "v6-unclosed": "https://[::1",
    "localhost-as-a-prefix": "http://localhost.evil.example",
    "localhost-with-a-dot": "http://localhost.",
    "loopback-as-a-prefix": "http://127.0.0.1.evil.example",
    "loopback-as-userinfo": "http://127.0.0.1@evil.example",
    "another-port": "https://api.agentphone.to:8443",
    "port-80": "https://api.agentphone.to:80",
    "port-too-large": "https://api.agentphone.to:99999",
    "port-no-number": "https://api.agentphone.to:https",
    "port-in-other-digits": "https://api.agentphone.to:٤٤٣",
    "another-path": "https://api.agentphone.to/v2",
    "deeper-path": "https://api.agentphone.to/v1/agents",
    "climbing-path": "https://api.agentphone.to/v1/../v0",
    "uppercase-path": "https://api.agentphone.to/V1",
    "encoded-path": "https://api.agentphone.to/%76%31",
    "path-parameters": "https://api.agentphone.to/v1;x",
    "query": "https://api.agentphone.to?next=https://evil.example",
    "empty-query": "https://api.agentphone.to?",
    "query-with-at": "https://api.agentphone.to?@evil.example",
    "fragment": "https://api.agentphone.to#@evil.example",
    "empty-fragment": "https://api.agentphone.to#",
    "backslash": "https://api.agentphone.to\\@evil.example",
    "backslash-before-the-vendor": "https://evil.example\\.api.agentphone.to",
    "only-backslashes": "https:\\\\api.agentphone.to",
    "tab": "https://api.agentphone.to\t.evil.example",
    "tab-in-the-scheme": "ht\ttps://api.agentphone.to",
    "newline": "https://api.agentphone.to\n.evil.example",
    "header-injection": "https://api.agentphone.to\r\nHost: evil.example",
    "nul": "https://api.agentphone.to\x00.evil.example",
    "leading-space": " https://api.agentphone.to",
    "trailing-space": "https://api.agentphone.to ",
    "space-inside": "https://api.agentphone.to evil.example",
    "percent-in-the-host": "https://api%2eagentphone.to",
    "encoded-slash-in-the-host": "https://api.agentphone.to%2f.evil.example",
    "two-urls": "https://api.agentphone.to,https://evil.example",
    "empty": "",
    "scheme-alone": "https://",
    "slash-alone": "/",
    "very-long": "https://api.agentphone.to/" + "a" * 100_000,
}

WELCOME = {
    "first-host": "https://api.agentphone.to",
    "second-host": "https://api.agentphone.ai",
    "uppercase": "HTTPS://API.AGENTPHONE.TO",
    "port-443": "https://api.agentphone.to:443",
    "port-443-with-zeros": "https://api.agentphone.to:000443",
    "slash": "https://api.agentphone.to/",
    "v1": "https://api.agentphone.to/v1",
    "v1-and-slash": "https://api.agentphone.ai/v1/",
}

LOOPBACKS = {
    "v4": "http://127.0.0.1:8000",
    "v4-another": "http://127.8.8.8:8000",
    "v4-without-a-port": "http://127.0.0.1",
    "v4-port-80": "http://127.0.0.1:80",
    "v4-over-tls": "https://127.0.0.1:8443",
    "v6": "http://[::1]:8000",
    "name": "http://localhost:8000",
    "uppercase-name": "http://LOCALHOST:8000/v1/",
}


def urls(named: dict[str, str]) -> list[object]:
    """Return the URLs as parameters with ids."""
    return [pytest.param(url, id=name) for name, url in named.items()]


@pytest.mark.parametrize("key", [pytest.param(ApiKey(LIVE_KEY), id="live-key"), pytest.param(None, id="no-key")])
@pytest.mark.parametrize("url", urls(ATTACKS))
def test_a_base_url_that_is_not_the_vendors_is_refused(url: str, key: ApiKey | None) -> None:
    with pytest.raises(KeyRuleBroken):
        Allowlist.for_base(url, key)
    with pytest.raises(KeyRuleBroken):
        ApiClient(Transport(url, key))


@pytest.mark.parametrize("url", urls(WELCOME))
def test_both_hosts_of_the_vendor_are_welcome_however_they_are_written(url: str) -> None:
    base = Allowlist.for_base(url, ApiKey(LIVE_KEY)).base
    assert str(base) in ("https://api.agentphone.to/", "https://api.agentphone.ai/")


@pytest.mark.parametrize("url", urls(LOOPBACKS))
def test_loopback_is_welcome_with_a_key_that_is_not_live(url: str) -> None:
    assert Allowlist.for_base(url, ApiKey("sk_sandbox_0001")).is_local
    assert Allowlist.for_base(url, None).is_local


@pytest.mark.parametrize("url", urls(LOOPBACKS))
def test_a_live_key_never_goes_to_loopback(url: str) -> None:
    """Another program may listen there."""
    with pytest.raises(KeyRuleBroken):
        Allowlist.for_base(url, ApiKey(LIVE_KEY))


@pytest.mark.parametrize("quote", [pytest.param('"', id="double"), pytest.param("'", id="single")])
def test_quotes_around_a_live_key_do_not_hide_it(quote: str) -> None:
    """Some env files keep the quotes around a value."""
    with pytest.raises(KeyRuleBroken):
        Allowlist.for_base("http://127.0.0.1:8000", ApiKey(f"{quote}{LIVE_KEY}{quote}"))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("   ", id="blank"),
        pytest.param("sk_live", id="too-short"),
        pytest.param("k" * 513, id="too-long"),
        pytest.param("$AGENTPHONE_API_KEY", id="placeholder"),
        pytest.param("${AGENTPHONE_API_KEY}", id="braced-placeholder"),
        pytest.param("sk_live_schlüssel", id="not-ascii"),
        pytest.param("sk_live_one sk_live_two", id="two-keys"),
        pytest.param("sk_live_one\r\nX-Evil: 1", id="header-injection"),
        pytest.param("sk_live_one\x00two", id="nul"),
        pytest.param("Bearer sk_live_one_two", id="with-the-scheme"),
    ],
)
def test_a_text_that_can_be_no_key_is_refused_without_repeating_it(value: str) -> None:
    with pytest.raises(KeyRuleBroken) as refused:
        ApiKey(value)
    assert not value.strip() or value.strip() not in str(refused.value)


def test_a_key_is_stripped_and_shows_four_characters() -> None:
    key = ApiKey(f"  {LIVE_KEY}\n")
    assert key.header() == f"Bearer {LIVE_KEY}"
    assert repr(key) == str(key) == f"{key}" == "ApiKey(…0042)"
    assert key.is_live
    assert not ApiKey("sk_sandbox_0001").is_live


@pytest.mark.parametrize("key", [LIVE_KEY, "another_form_of_key_0042"], ids=["live", "of-another-form"])
def test_a_client_does_not_repeat_a_key_that_stands_in_the_base_url(key: str) -> None:
    with pytest.raises(KeyRuleBroken) as refused:
        ApiClient(Transport(f"{DEFAULT_BASE_URL}/{key}", ApiKey(key)))
    assert key not in str(refused.value)


def test_the_port_of_a_scheme_need_not_be_named() -> None:
    assert Allowlist.for_base("http://127.0.0.1:80", None) == Allowlist.for_base("http://127.0.0.1", None)
