"""What work orders are found by."""

from crm import search
from service.models import WorkOrder

search.register(WorkOrder, fields=["title", "number"], keys=["number_key"])
