"""Puts a tuned persona where people are: on a web page, and behind a chat bot.

What is here so far, from the model outwards:

1. :mod:`bot.engine` answers a conversation as a stream of text, whatever the model is;
2. :mod:`bot.studio` holds the web pages, each of which is given an engine;
3. :mod:`bot.cli` is ``renshe``, which starts everything.

``trainer`` is met in :mod:`bot.engine`, in the persona and chat types and in
:mod:`bot.cli` only; nothing here imports ``plugins``.
"""
