"""Telegram through the Bot API.

In: ``polling`` or ``webhook`` gets raw updates → ``incoming`` makes events of them, ``roles``
adds who is an administrator → the bot commits them, and only then are they confirmed.
Out: ``sending`` says what the bot answers, by the calls of ``calls``. All calls go through
``client``, where a failure tells whether it may have had its effect, and loses the token;
``line`` says when the connection fails and when it recovers.
"""
