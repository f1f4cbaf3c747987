from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("api/", include("customers.tracking.urls")),
    path("api/", include("sales.urls")),
    path("api/", include("service.urls")),
    path("", admin.site.urls),
]
