"""The imperative shell around the core: it looks, remembers, acts and tells, in one order, and nothing else.

``tick`` is the only place where that order is written down; ``observe`` gathers, ``loop`` repeats, ``supervise`` keeps
rollouts apart, ``lifecycle`` starts and stops the process.
"""
