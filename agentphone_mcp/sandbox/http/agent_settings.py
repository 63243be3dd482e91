"""Declare what POST and PATCH may set on an agent: the fields, their bounds and their defaults."""

from typing import Any

from agentphone_mcp.sandbox.http.validation import Field, boolean, e164, integer, number, one_of, text
from agentphone_mcp.sandbox.responses import Json, invalid

# fmt: off
_LANGUAGES = (
    "af-ZA", "ar-SA", "az-AZ", "bg-BG", "bs-BA", "ca-ES", "cs-CZ", "cy-GB", "da-DK", "de-DE", "el-GR", "en-AU",
    "en-GB", "en-IN", "en-NZ", "en-US", "es-419", "es-ES", "fa-IR", "fi-FI", "fil-PH", "fr-CA", "fr-FR", "gl-ES",
    "he-IL", "hi-IN", "hr-HR", "hu-HU", "hy-AM", "id-ID", "is-IS", "it-IT", "ja-JP", "kk-KZ", "kn-IN", "ko-KR",
    "lt-LT", "lv-LV", "mk-MK", "mr-IN", "ms-MY", "ne-NP", "nl-BE", "nl-NL", "no-NO", "pl-PL", "pt-BR", "pt-PT",
    "ro-RO", "ru-RU", "sk-SK", "sl-SI", "sr-RS", "sv-SE", "sw-KE", "ta-IN", "th-TH", "tr-TR", "uk-UA", "ur-IN",
    "vi-VN", "yue-CN", "zh-CN",
)
# fmt: on


def _transfer_number(value: Any) -> str | None:
    """Check that it is in E.164, or an empty string, which clears it."""
    return None if value == "" else e164(value)


FIELDS = {
    "name": Field(text(1, 200), required=True),
    "description": Field(text()),
    "voiceMode": Field(one_of("webhook", "hosted")),
    "systemPrompt": Field(text(most=100_000)),
    "beginMessage": Field(text()),
    "voice": Field(text(1, 200)),
    "transferNumber": Field(_transfer_number),
    "voicemailMessage": Field(text()),
    "modelTier": Field(one_of("turbo", "balanced", "max")),
    "sttMode": Field(one_of("fast", "accurate")),
    "ambientSound": Field(one_of("none", "office", "coffee-shop", "outdoor")),
    "denoisingMode": Field(one_of("noise-cancellation", "noise-and-background-speech-cancellation")),
    "maxSilenceMs": Field(integer(10_000, 3_600_000)),
    "enableMessaging": Field(boolean),
    "enableBackchannel": Field(boolean),
    "interruptionSensitivity": Field(number(0, 1)),
    "voiceSpeed": Field(number(0.5, 2)),
    "language": Field(one_of(*_LANGUAGES)),
}

CHANGES = FIELDS | {"name": Field(text(1, 200), nullable=False)}

DEFAULTS: Json = dict.fromkeys(FIELDS) | {
    "voiceMode": "webhook",
    "voice": "11labs-Brian",
    "modelTier": "balanced",
    "sttMode": "fast",
    "ambientSound": "none",
    "denoisingMode": "noise-cancellation",
    "maxSilenceMs": 600_000,
    "enableMessaging": True,
    "enableBackchannel": True,
    "interruptionSensitivity": 0.5,
    "voiceSpeed": 1.0,
    "language": "en-US",
}


def merge_settings(current: Json, given: Json) -> Json:
    """Return the settings after a write; null restores the default. Refuse a hosted agent without a prompt."""
    settings = current | {name: DEFAULTS[name] if value is None else value for name, value in given.items()}
    if settings["voiceMode"] == "hosted" and not (settings["systemPrompt"] or "").strip():
        raise invalid("body", "systemPrompt", "systemPrompt is required in hosted mode", "missing")
    return settings
