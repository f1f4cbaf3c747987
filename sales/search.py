"""What leads are found by."""

from crm import search
from sales.models import Contract, Invoice, Lead, Opportunity, Order, PaymentRecord, Product, Quotation

search.register(Lead, fields=["name", "company"], phones=["phone"])
search.register(Opportunity, fields=["name", "number", "customer__name", "customer__short_name"])
search.register(Product, fields=["name", "code", "specification"], keys=["code_key"], prefix="name_key")
search.register(Order, fields=["number", "customer__name"], keys=["number_key"])
search.register(PaymentRecord, fields=["number", "bank_flow", "customer__name"], keys=["number_key"])
search.register(Invoice, fields=["number", "title", "customer__name"], keys=["number_key"])
search.register(Quotation, fields=["number", "customer__name"], keys=["number_key"])
search.register(Contract, fields=["number", "name", "customer__name"], keys=["number_key"])
