"""What customers, their contacts and real customers are found by."""

from crm import search
from customers.models import Contact, Customer, RealCustomer

PHONES = ("mobile", "telephone")

search.register(
    Customer,
    fields=["name", "short_name", "code"],
    phones=["phone"],
    keys=["code_key", "licence_key"],
    prefix="name_key",
    parts=[search.Part(Contact, "customer", fields=("name",), phones=PHONES)],
)
search.register(Contact, fields=["name", "email", "customer__name"], phones=PHONES)
search.register(RealCustomer, fields=["name", "code"], keys=["code_key"])
