"""Headers and parts of access tokens."""

import base64
import json
from typing import Any

from starlette.datastructures import Headers

RESOURCE = "https://phone.example/mcp"


def bearer_headers(*tokens: str) -> Headers:
    return Headers(raw=[(b"authorization", f"Bearer {token}".encode()) for token in tokens])


def in_base64(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
