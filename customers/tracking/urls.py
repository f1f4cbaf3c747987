from django.urls import path

from customers.tracking import api

urlpatterns = [
    path("openapi.json", api.document, name="api_document"),
    path("information-tracking/record", api.record, name="api_record"),
]
