"""From a persona file to a tuned checkpoint, and the figures that say whether it stays itself.

The path of the data, in order:

1. :mod:`trainer.persona` and :mod:`trainer.check` read a persona's YAML file;
2. :mod:`trainer.dataset` compiles it into ``train.json`` and ``dev.json``;
3. :mod:`trainer.chat` turns conversations into ids and targets, :mod:`trainer.batches` those
   into tensors;
4. :mod:`trainer.bases` finds a base model, :mod:`trainer.model` builds it, :mod:`trainer.quantize`
   packs its weights, which a backend of :mod:`trainer.backends` unpacks, and
   :mod:`trainer.prefix` holds the only thing that is trained, which starts as
   :mod:`trainer.start` says;
5. :mod:`trainer.train` trains with the settings of :mod:`trainer.config`;
6. :mod:`trainer.checkpoint` keeps the result with all that it is valid for;
7. :mod:`trainer.generate` answers, :mod:`trainer.guard` keeps what is served in character,
   :mod:`trainer.evaluate` measures, and :mod:`trainer.retention` measures whether it stays
   itself.

Nothing here imports ``bot`` or ``plugins``.
"""
