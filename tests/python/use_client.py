"""Uses a gateway by the client that openapi-python-client generates from its document; mypy checks it before it is run."""

import sys
from typing import cast

from repartee_client import AuthenticatedClient, Client
from repartee_client.api.comments import delete_comment, get_comment, list_changes, list_comments, post_comment, update_comment
from repartee_client.api.queue import claim_next, complete_message
from repartee_client.models import (
    ChangesPage,
    Claimed,
    ClaimNext,
    Complete,
    Completed,
    EditComment,
    Message,
    MessageType,
    NewBotParams,
    NewComment,
    NewReply,
    Posted,
    Problem,
    Status,
)

ROOM = "clients.test"


def changes(client: AuthenticatedClient, cursor: str) -> ChangesPage:
    """What has changed since a cursor; waits for it."""
    page = list_changes.sync(client=client, domain=ROOM, cursor=cursor, wait=25)
    assert isinstance(page, ChangesPage), page
    return page


def edit(url: str, client: AuthenticatedClient) -> None:
    """A visitor posts, reads, edits and removes a comment, and follows the changes."""
    begin = list_changes.sync(client=client, domain=ROOM)
    assert isinstance(begin, ChangesPage), begin
    comment = NewComment(domain=ROOM, username="Ann", color="200120040", text="Hello")
    posted = post_comment.sync(client=client, body=comment, idempotency_key="once")
    assert isinstance(posted, Posted), posted
    listed = list_comments.sync(client=client, domain=ROOM)
    assert isinstance(listed, list) and [message.id for message in listed] == [posted.id], listed
    page = changes(client, begin.next_)
    assert [message.text for message in page.messages] == ["Hello"], page

    author = AuthenticatedClient(base_url=url, token=posted.edit_token)
    edited = update_comment.sync(posted.id, client=author, body=EditComment(text="Hello, all"))
    assert isinstance(edited, Message) and edited.text == "Hello, all", edited
    removed = delete_comment.sync(posted.id, client=author)
    assert removed is not None and not isinstance(removed, Problem), removed
    gone = get_comment.sync(posted.id, client=client)
    assert isinstance(gone, Message) and gone.deleted is True and gone.text == "", gone
    assert changes(client, page.next_).messages[-1].deleted is True


def answer(client: AuthenticatedClient, worker: AuthenticatedClient) -> None:
    """A visitor asks, and a worker answers."""
    bot = NewBotParams(entity="helper")
    question = NewComment(domain=ROOM, username="Bea", color="200120041", text="Well?", bot_params=bot)
    asked = post_comment.sync(client=client, body=question)
    assert isinstance(asked, Posted), asked
    claimed = claim_next.sync(client=worker, body=ClaimNext(worker_id="typed", wait=1))
    assert isinstance(claimed, Claimed) and claimed.message.id == asked.id, claimed
    reply = NewReply(text="Well.")
    done = Complete(message_id=asked.id, lease_token=claimed.lease.token, reply=reply)
    completed = complete_message.sync(client=worker, body=done)
    assert isinstance(completed, Completed), completed
    listed = list_comments.sync(client=client, domain=ROOM)
    assert isinstance(listed, list), listed
    question_now, answer_now = listed[-2:]
    assert question_now.bot_params is not None and question_now.bot_params.status is Status.COMPLETE, question_now
    assert (answer_now.message_type, answer_now.reply_to) == (MessageType.AI, asked.id), answer_now


def fail(client: AuthenticatedClient) -> None:
    """Errors are told as problems."""
    refused = post_comment.sync(client=client, body=NewComment(domain=ROOM, username="Ann", text=""))
    assert isinstance(refused, Problem) and refused.status == 400 and refused.errors, refused
    assert [(field.pointer, bool(field.detail)) for field in refused.errors] == [("/text", True)], refused
    lost = list_changes.sync(client=client, cursor="garbage")
    assert isinstance(lost, Problem) and lost.reason == "CURSOR_INVALID", lost


if __name__ == "__main__":
    url, token = sys.argv[1:]
    # The generator knows no security that may be left out: its types want a token for what visitors may call without one.
    visitor = cast(AuthenticatedClient, Client(base_url=url))
    edit(url, visitor)
    answer(visitor, AuthenticatedClient(base_url=url, token=token))
    fail(visitor)
