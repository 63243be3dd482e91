"""List which languages are spoken where, as far as there is a disclosure in them.

From CLDR's territory data (language population), read on 2026-11-30: official languages, the most spoken first and at
most two. A country that is not listed is taken to be called in English.
"""

_REGIONS = {
    ("ar",): "AE BH DZ EG IQ JO KW LB LY MA MR OM PS QA SA SD SY TN YE",
    ("cs",): "CZ",
    ("da",): "DK FO GL",
    ("de",): "AT DE LI",
    ("de", "fr"): "CH",
    ("en", "fr"): "CA CM",
    ("es",): "AR BO CL CO CR CU DO EC ES GQ GT HN MX NI PA PE PY SV UY VE",
    ("es", "en"): "PR",
    ("fi", "sv"): "FI AX",
    ("fr",): "BF BI BJ BL CD CF CG CI DJ FR GA GF GN GP HT KM MC MF MG ML MQ NC NE PF PM RE RW SN TD TG WF YT",
    ("fr", "de"): "LU",
    ("hi", "en"): "IN",
    ("it",): "IT SM VA",
    ("ja",): "JP",
    ("ko",): "KP KR",
    ("nb",): "NO SJ",
    ("nl",): "AW BQ CW NL SR",
    ("nl", "fr"): "BE",
    ("pl",): "PL",
    ("pt",): "AO BR CV GW MZ PT ST TL",
    ("ru",): "BY KG KZ RU",
    ("sv",): "SE",
    ("tr",): "TR",
    ("uk",): "UA",
    ("zh",): "CN TW",
    ("zh", "en"): "HK MO SG",
}
_LANGUAGES = {region: languages for languages, regions in _REGIONS.items() for region in regions.split()}
_ELSEWHERE = ("en",)


def languages_of(country: str) -> tuple[str, ...]:
    """Return the languages of a country (ISO 3166, two letters) by their primary subtags of BCP-47."""
    return _LANGUAGES.get(country, _ELSEWHERE)
