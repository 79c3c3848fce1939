"""Telegram through the Bot API: what arrives, in order of the path.

``polling`` or ``webhook`` fetch raw updates → ``incoming`` makes events of them → the bot
commits them, and only then are they confirmed; ``sending`` says what the bot answers.
All calls go through ``client``, where a failure becomes one of five kinds and loses the
token; ``line`` says when the connection fails and when it recovers.
"""
