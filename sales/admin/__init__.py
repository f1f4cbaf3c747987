from sales.admin import (  # noqa: F401
    catalog,
    contracts,
    followups,
    leads,
    marketing,
    opportunities,
    orders,
    payments,
    printing,
    quotations,
    sms,
    sms_campaigns,
)
