"""Traces and calls as workbooks, within what the reader may see. Nothing comes back in."""

from crm.excel.resource import Resource, register
from customers.tracking.models import ApiCall, Trace


@register
class TraceResource(Resource):
    class Meta:
        model = Trace
        fields = [
            "operated_at",
            "kind",
            "event",
            "event_type",
            "customer",
            "phone",
            "rows",
            "user_name",
            "company",
            "department",
            "organization",
            "role",
            "assistant",
            "side",
            "is_foreign",
            "ip",
            "source",
            "external_id",
            "delivery",
            "delivered_at",
        ]


@register
class ApiCallResource(Resource):
    class Meta:
        model = ApiCall
        fields = [
            "called_at",
            "method",
            "path",
            "app_key",
            "customer",
            "status",
            "code",
            "idempotency_key",
            "is_repeated",
            "ip",
            "milliseconds",
        ]
