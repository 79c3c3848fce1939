"""The methods of the Bot API that a bot for conversations needs, as the server answers them."""

from dataclasses import dataclass, field
from typing import Any

from tests.fakes.bot_api_chats import Chat, Chats
from tests.fakes.bot_api_text import Json, bad_request, checked_text
from tests.fakes.bot_api_updates import Updates, Webhook

BOT: Json = {"id": 123456789, "is_bot": True, "first_name": "雪雪", "username": "Snow_Bot"}
_ACTIONS = {"typing", "upload_photo", "record_voice", "upload_voice", "choose_sticker"}

Params = dict[str, Any]


@dataclass
class Methods:
    """One coroutine a method, under its own name; raises ``ApiError``.

    Attributes:
        can_read_all: privacy mode is off.
        drafts: what private chats see of messages being written, by chat and draft.
    """

    can_read_all: bool = True
    chats: Chats = field(default_factory=Chats)
    updates: Updates = field(default_factory=Updates)
    drafts: dict[tuple[int, int], str] = field(default_factory=dict)

    async def getMe(self, _params: Params) -> Json:  # noqa: N802 (their names)
        return {
            **BOT,
            "can_join_groups": True,
            "can_read_all_group_messages": self.can_read_all,
            "supports_inline_queries": False,
        }

    async def getUpdates(self, params: Params) -> Any:  # noqa: N802
        offset, limit = _integer(params, "offset", 0), _integer(params, "limit", 100)
        timeout = _integer(params, "timeout", 0)
        return await self.updates.get(offset, limit, timeout, params.get("allowed_updates"))

    async def setWebhook(self, params: Params) -> bool:  # noqa: N802
        if not params.get("url"):
            return await self.deleteWebhook(params)
        connections = _integer(params, "max_connections", 40)
        webhook = Webhook(str(params["url"]), str(params.get("secret_token", "")), connections)
        if _flag(params, "drop_pending_updates"):
            self.updates.forget()
        self.updates.set_webhook(webhook, params.get("allowed_updates"))
        return True

    async def deleteWebhook(self, params: Params) -> bool:  # noqa: N802
        self.updates.webhook = None
        if _flag(params, "drop_pending_updates"):
            self.updates.forget()
        return True

    async def getWebhookInfo(self, _params: Params) -> Json:  # noqa: N802
        webhook = self.updates.webhook
        return {
            "url": webhook.url if webhook else "",
            "has_custom_certificate": False,
            "pending_update_count": len(self.updates.pending),
            **(
                {"last_error_message": webhook.last_error} if webhook and webhook.last_error else {}
            ),
        }

    async def getChatMember(self, params: Params) -> Json:  # noqa: N802
        chat = self.chats.writable(_integer(params, "chat_id"))
        user = _integer(params, "user_id")
        for message in chat.messages.values():
            if message["from"]["id"] == user:
                return {"status": "member", "user": message["from"]}
        raise bad_request("user not found")

    async def getChatAdministrators(self, params: Params) -> list[Json]:  # noqa: N802
        chat = self.chats.writable(_integer(params, "chat_id"))
        if chat.kind == "private":
            raise bad_request("there are no administrators in the private chat")
        return [
            {"status": status, "user": {"id": user, "is_bot": False, "first_name": "x"}}
            for user, status in chat.admins.items()
        ]

    async def sendMessage(self, params: Params) -> Json:  # noqa: N802
        chat = self.chats.writable(_integer(params, "chat_id"))
        text = checked_text(
            str(params.get("text", "")), params.get("parse_mode"), params.get("entities")
        )
        topic = _topic(chat, params)
        message = self.chats.put(chat, BOT, text, reply_to=_answered(chat, params), topic=topic)
        self.drafts = {key: text for key, text in self.drafts.items() if key[0] != chat.id}
        return message

    async def editMessageText(self, params: Params) -> Json:  # noqa: N802
        chat = self.chats.writable(_integer(params, "chat_id"))
        message = chat.messages.get(_integer(params, "message_id"))
        if message is None:
            raise bad_request("message to edit not found")
        if message["from"] != BOT:
            raise bad_request("message can't be edited")
        text = checked_text(
            str(params.get("text", "")), params.get("parse_mode"), params.get("entities")
        )
        if text["text"] == message["text"]:
            raise bad_request(
                "message is not modified: specified new message content and reply markup are "
                "exactly the same as a current content and reply markup of the message"
            )
        message.pop("entities", None)
        message.update(text)
        return message

    async def sendMessageDraft(self, params: Params) -> bool:  # noqa: N802
        chat = self.chats.writable(_integer(params, "chat_id"))
        if chat.kind != "private":
            raise bad_request("TEXTDRAFT_PEER_INVALID")
        draft = _integer(params, "draft_id")
        if not draft:
            raise bad_request("RANDOM_ID_INVALID")
        text = checked_text(
            str(params.get("text", "")), params.get("parse_mode"), may_be_empty=True
        )
        self.drafts = {(chat.id, draft): text["text"]}
        return True

    async def sendChatAction(self, params: Params) -> bool:  # noqa: N802
        chat = self.chats.writable(_integer(params, "chat_id"))
        if params.get("action") not in _ACTIONS:
            raise bad_request("wrong parameter action in request")
        _topic(chat, params)
        return True


def _topic(chat: Chat, params: Params) -> int | None:
    topic = _integer(params, "message_thread_id", 0)
    if topic and topic not in (chat.topics or ()):  # General has an id, 1, which none may use
        raise bad_request("message thread not found")
    return topic or None


def _answered(chat: Chat, params: Params) -> int | None:
    reply = params.get("reply_parameters") or {}
    answered = reply.get("message_id")
    if answered is None or answered in chat.messages:
        return answered
    if reply.get("allow_sending_without_reply"):
        return None
    raise bad_request("message to be replied not found")


def _flag(params: Params, name: str) -> bool:
    return str(params.get(name, "")).lower() in ("true", "1", "yes", "t")


def _integer(params: Params, name: str, default: int | None = None) -> int:
    value = params.get(name, default)
    try:
        return int(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise bad_request(f"invalid {name} specified") from None
