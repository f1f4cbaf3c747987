from django.urls import path

from sales import api

urlpatterns = [
    path("orders/<str:order_no>", api.show, name="api_order"),
    path("orders/<str:order_no>/cancel", api.cancel, name="api_order_cancel"),
]
