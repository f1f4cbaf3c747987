"""What leads are found by."""

from crm import search
from sales.models import Lead

search.register(Lead, fields=["name", "company"], phones=["phone"])
