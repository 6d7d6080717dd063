"""Addresses of the site: the API, Django's admin, and one page for everything else."""

from django.contrib import admin
from django.urls import include, path, re_path

from annotate.api.errors import not_found
from annotate.api.throttles import admin_sign_in
from annotate.pages import frontend

urlpatterns = [
    path("api/", include("annotate.api.urls")),
    path("api/", include("training.api.urls")),
    re_path(r"^api/", not_found),
    path("admin/login/", admin_sign_in),
    path("admin/", admin.site.urls),
    re_path(r"^(?!static/).*$", frontend),
]
handler400 = "annotate.api.errors.bad_request"
handler500 = "annotate.api.errors.server_error"
