"""What is read over a channel of grpcio as it is by default, which takes answers of 4 MiB."""

from pathlib import Path
from types import SimpleNamespace

import grpc
from conftest import Tokens, serving

COUNT = 320
TEXT = "x" * 16_384


def test_lists_and_conversations_of_five_mebibytes_come_in_pages(stubs: SimpleNamespace, tmp_path: Path) -> None:
    token = Tokens(tmp_path, "echo").new("operator").strip()
    with serving(tmp_path) as service, grpc.insecure_channel(service.address) as channel:
        metadata = [("authorization", f"Bearer {token}")]
        queue, calls = stubs.queue, stubs.grpc.QueueServiceStub(channel)
        bot = queue.BotAddress(entity="echo", ai_username="echo")
        message = queue.NewMessage(domain="lobby", text=TEXT, username="Ann", bot=bot)
        item = queue.PostMessageRequest(message=message)
        for _ in range(COUNT // 32):
            calls.PostMessages(queue.PostMessagesRequest(items=[item] * 32), metadata=metadata)

        newest = calls.ListMessages(queue.ListMessagesRequest(limit=1_000), metadata=metadata)
        assert newest.older and 0 < len(newest.messages) < COUNT
        one = newest.messages[0]
        asked = queue.GetConversationRequest(
            human_username=one.username,
            human_color=one.color,
            ai_username=one.bot_params.ai_username,
            ai_color=one.bot_params.ai_color,
            limit=1_000,
        )
        conversation = calls.GetConversation(asked, metadata=metadata)
        assert conversation.more and 0 < len(conversation.messages) < COUNT

        seen, after = set(), 1
        while page := calls.ListMessages(queue.ListMessagesRequest(after=after, limit=1_000), metadata=metadata).messages:
            seen.update(message.id for message in page)
            after = page[-1].timestamp
        assert len(seen) == COUNT
