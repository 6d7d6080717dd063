"""The WSGI entry point of the web processes."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotate.settings")
application = get_wsgi_application()

# What is loaded by now stays. The collector would look through all of it again and again while
# requests make rows by the thousand: a third of the time of an export.
gc.collect()
gc.freeze()
