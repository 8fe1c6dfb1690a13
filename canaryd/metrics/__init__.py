"""Metric sources, one a file. Whatever the world answers becomes a reading; nothing here raises for it.

``prometheus`` asks a server that has scraped both sides, ``scrape`` reads each side's own metrics page and counts
itself, ``http_json`` reads a document such as a health page. They share ``http_client`` (bounded reading),
``promql`` (templates and selectors), and what a reading needs from any of them; they do not know each other.
"""
