"""A browser, as far as the gateways can tell: it posts comments under a key, and follows a stream."""

import http.client
import json
import threading
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

WITHIN = 60.0  # seconds


class Refusal(Exception):
    """An answer that is no 2xx."""


def call(url: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    """One request on a connection of its own. Raises OSError or HTTPException if there is no answer, Refusal for an error."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=15)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        content = answer.read()
        if not 200 <= answer.status < 300:
            raise Refusal(f"{answer.status} {content.decode(errors='replace')}")
        return json.loads(content)
    finally:
        connection.close()


def get(url: str, path: str, headers: dict[str, str] | None = None) -> Any:
    """Reads, again if it fails, as pages do."""
    deadline = time.monotonic() + WITHIN
    while True:
        try:
            return call(url, "GET", path, headers=headers)
        except (OSError, http.client.HTTPException, Refusal) as error:
            assert time.monotonic() < deadline, f"not read within {WITHIN} s: {error!r}"
            time.sleep(0.1)


def post(url: str, room: str, text: str, entity: str = "echo") -> tuple[str, list[str]]:
    """Posts a comment, again under the same key if it fails; gives its id, and what failed before."""
    key, failed, deadline = str(uuid.uuid4()), [], time.monotonic() + WITHIN
    body = {"domain": room, "username": "Ann", "color": "200120040", "text": text, "botParams": {"entity": entity}}
    while True:
        try:
            return call(url, "POST", "/api/comments", body, {"Idempotency-Key": key})["id"], failed
        except (OSError, http.client.HTTPException, Refusal) as error:
            failed.append(repr(error))
            assert time.monotonic() < deadline, f"not posted within {WITHIN} s: {failed[-3:]}"
            time.sleep(0.1)


class Stream:
    """Follows a room by Server-Sent Events, and goes on behind the last event that it saw, as EventSource does."""

    def __init__(self, url: str, room: str) -> None:
        self.address, self.room = urlsplit(url).netloc, room
        self.changes: list[Any] = []
        self.resets, self.connections, self.last = 0, 0, ""
        self.connected, self.closed = threading.Event(), False
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()
        assert self.connected.wait(WITHIN), "no stream"

    def follow(self) -> None:
        while not self.closed:
            try:
                self.read()
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)

    def read(self) -> None:
        """One connection."""
        connection = http.client.HTTPConnection(self.address, timeout=30)
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.last} if self.last else {})
        connection.request("GET", f"/api/comments/stream?domain={self.room}", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            connection.close()
            raise OSError(f"{answer.status}")
        self.connections += 1
        event, data = "", ""
        while not self.closed and (line := answer.readline()):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                event = value
            elif name == "id":
                self.last = value
            elif name == "data":
                data = value
            elif not name:
                self.hear(event, data)
                event, data = "", ""
        connection.close()

    def hear(self, event: str, data: str) -> None:
        if event == "hello":
            self.connected.set()
        elif event == "reset":
            self.resets += 1
        elif event == "message":
            self.changes.append(json.loads(data))

    def answers(self) -> dict[str, str]:
        """The texts of the replies, by the id of what they reply to."""
        return {one["replyTo"]: one["text"] for one in list(self.changes) if one.get("replyTo")}

    def close(self) -> None:
        self.closed = True
