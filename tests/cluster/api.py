"""The API of Kubernetes, as far as the stand-ins and the tests need it."""

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

Object = dict[str, Any]

MERGE = "application/merge-patch+json"


class Refused(Exception):
    """The server says no."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Api:
    """One server, spoken to as an administrator."""

    def __init__(self, server: str, token: str) -> None:
        self.server, self.token = server, token
        # The server makes its own certificate, on loopback.
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    def call(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        """One request. Raises Refused for an answer that is an error, OSError where there is none."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind, "Accept": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode(errors="replace")) from error
        return json.loads(text) if text.startswith(b"{") else {"text": text.decode()}

    def items(self, path: str) -> list[Object]:
        """The objects of a list."""
        return self.call("GET", path)["items"]

    def find(self, path: str) -> Object | None:
        """An object, or nothing."""
        try:
            return self.call("GET", path)
        except Refused as refused:
            if refused.code == 404:
                return None
            raise
