"""The entry point of the web processes."""

import gc
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotate.settings")
django.setup()

from annotate.web.site import Site  # noqa: E402  (the settings come first)

application = Site()

# What is loaded by now stays. The collector would look through all of it again and again while
# requests make rows by the thousand: a third of the time of an export.
gc.collect()
gc.freeze()
