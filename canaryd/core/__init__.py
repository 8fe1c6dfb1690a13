"""The functional core: what canaryd decides, without I/O, clock, logging or randomness.

Everything here is standard library, frozen dataclasses and pure functions, so that any decision can be
replayed from its input. Reading order: ``model`` (the words), ``readings`` (what was seen), ``conditions`` (what
is asked), ``judge`` (four-valued checks), ``phases`` (a table), ``decide`` (the rules in order), ``invariants``
(what must never happen), ``explain`` (one plain sentence).
"""
