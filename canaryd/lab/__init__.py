"""The laboratory: a small real world to watch canaryd in, and tools that try policies before they are trusted."""
