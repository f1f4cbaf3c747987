from django.urls import path

from service import api

urlpatterns = [path("work-orders", api.submit, name="api_work_order")]
