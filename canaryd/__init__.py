"""canaryd: a control-loop daemon for progressive delivery without Kubernetes."""

__version__ = "0.1.0"
