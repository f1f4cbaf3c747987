from customers.tracking.models.alerts import Alert, AlertRule, AlertState, Watch
from customers.tracking.models.calls import ApiCall, Reply, UsedNonce
from customers.tracking.models.counts import Rollup, StaleDay, TraceCount
from customers.tracking.models.traces import Delivery, Source, Trace

__all__ = [
    "Alert",
    "AlertRule",
    "AlertState",
    "ApiCall",
    "Delivery",
    "Reply",
    "Rollup",
    "Source",
    "StaleDay",
    "Trace",
    "TraceCount",
    "UsedNonce",
    "Watch",
]
