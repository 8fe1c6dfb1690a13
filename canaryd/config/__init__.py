"""The two files people touch, read as hostile input and answered in plain words.

``files`` opens, ``document`` parses YAML within bounds and knows where everything stands, ``policy`` and ``desired``
turn documents into the core's words, ``edits`` changes a desired-state file without disturbing what it does not touch.
Whatever the input, the answer is a value or one ``InvalidFile``.
"""
