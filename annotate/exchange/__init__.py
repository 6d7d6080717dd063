"""Formats in and out, streaming: no Django, no database."""
