"""How canaryd tells machines and people what it does: metrics, logs and a read-only HTTP surface.

Reading order: ``catalogue`` (every metric in one table), ``instruments`` (the table brought to life), ``gauges`` and
``recorder`` (one tick turned into metrics), ``status_board`` (the latest document and heartbeat of each rollout),
``web`` and ``http`` (both, served from threads), ``redaction`` and ``logging``.
"""
