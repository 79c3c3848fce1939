"""Puts a tuned persona where people are: on a web page, and behind a chat bot.

From the model outwards:

1. :mod:`bot.engine` answers a conversation as a stream of text, whatever the model is;
2. :mod:`bot.studio` holds the web pages, each of which is given an engine.

The bot, in the order in which a message passes through it:

1. an adapter (:mod:`bot.adapters`, the contract in :mod:`bot.adapter`) makes an
   :class:`bot.event.Event` of what a platform sends and hands it to :mod:`bot.runtime`;
2. what is meant for the bot (:mod:`bot.triggers`) and not too much (:mod:`bot.limits`) is
   written into the inbox of :mod:`bot.store`, and queued in its session (:mod:`bot.session`);
3. :mod:`bot.pipeline` lets the plugins (:mod:`bot.plugin`, run by :mod:`bot.plugin_host`) and
   the persona (:mod:`bot.cast`, thinking in :mod:`bot.engine.pool`) answer; one transaction
   writes turns and outbox;
4. :mod:`bot.delivery` sends what is in the outbox through the adapter, once.

:mod:`bot.config` is ``renshe.yaml``; :mod:`bot.cli` is ``renshe``, which starts everything.
``trainer`` is met in :mod:`bot.engine`, in the persona and chat types and in the commands
only; nothing here imports ``plugins``.
"""
