"""The calls that say something, made of messages: plain text, no previews, the right topic."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

from aiogram.methods import EditMessageText, SendMessage, SendMessageDraft
from aiogram.types import LinkPreviewOptions, MessageEntity, ReplyParameters, User

from bot.event import Chat, Outgoing
from bot.text import utf16_length


def draft_call(message: Outgoing) -> SendMessageDraft:
    """Return the call that shows a private chat how far a message has grown."""
    return SendMessageDraft(
        chat_id=int(message.chat.id),
        draft_id=crc32(message.id.encode()) & 0x7FFFFFFF or 1,
        message_thread_id=topic(message.chat),
        text=message.text,
        parse_mode=None,
    )


def send_call(message: Outgoing, mentioned: User | None) -> SendMessage:
    """Return the call that sends a message, with a mention before it if there is one."""
    return SendMessage(
        chat_id=int(message.chat.id),
        message_thread_id=topic(message.chat),
        text=_words(message, mentioned),
        entities=_mention(mentioned),
        parse_mode=None,
        link_preview_options=LinkPreviewOptions(is_disabled=True),
        reply_parameters=_reply(message),
    )


def edit_call(message: Outgoing, message_id: int, mentioned: User | None) -> EditMessageText:
    """Return the call that makes a message of the bot's read as ``message`` does."""
    return EditMessageText(
        chat_id=int(message.chat.id),
        message_id=message_id,
        text=_words(message, mentioned),
        entities=_mention(mentioned),
        parse_mode=None,
        link_preview_options=LinkPreviewOptions(is_disabled=True),
    )


def readdressed(message: Outgoing, chat: str) -> Outgoing:
    """Address it to a group's new id, where messages have other ids."""
    return replace(message, chat=replace(message.chat, id=chat), reply_to=None)


def _words(message: Outgoing, mentioned: User | None) -> str:
    return f"{mentioned.first_name} {message.text}" if mentioned else message.text


def _mention(user: User | None) -> list[MessageEntity] | None:
    if user is None:
        return None
    length = utf16_length(user.first_name)
    return [MessageEntity(type="text_mention", offset=0, length=length, user=user)]


def _reply(message: Outgoing) -> ReplyParameters | None:
    if message.reply_to is None:
        return None
    return ReplyParameters(message_id=int(message.reply_to), allow_sending_without_reply=True)


def topic(chat: Chat) -> int | None:
    """Return the topic that a chat is meant with."""
    return int(chat.thread) if chat.thread else None
