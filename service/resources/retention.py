"""Cases of customers about to be lost, for export alone: the scan and people settle them."""

from crm.excel.resource import Resource, register
from service.models import CustomerLoss


@register
class CustomerLossResource(Resource):
    class Meta:
        model = CustomerLoss
        fields = []
        readonly = [
            "customer",
            "status",
            "last_order_date",
            "warned_on",
            "warning",
            "confirmed_on",
            "reason_type",
            "reason",
            "recovered_on",
            "recovered_by",
            "remark",
        ]
        keys = []
        titles = {"customer": "客户"}
