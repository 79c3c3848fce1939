"""QQ through any OneBot v11 implementation (NapCat, Lagrange, LLOneBot, go-cqhttp).

The path of what is received, in order:

1. :mod:`.reverse`, :mod:`.forward` and :mod:`.http` own the sockets and who may use them;
   on WebSockets each connection is a :class:`.socket.Socket`;
2. :mod:`.wire` reads a frame as the protocol means it, :mod:`.cq` a message that is a string;
3. :mod:`.incoming` makes it the bot's event, and :mod:`.lanes` hands it in.

What is sent goes through :mod:`.outgoing` and back out by a :class:`.calls.Caller`;
:mod:`.adapter` puts both ways together.
"""
