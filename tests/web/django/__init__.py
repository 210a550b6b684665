"""Daypass in Django, whose settings have to be there before its models are imported."""

from . import project as project
