"""Demo data of the service room: half a year of work orders and return visits, customers that stopped ordering."""

from crm.demo import Demo, builders
from service.demo.retention import build_churn
from service.demo.workorders import build_service


def build(demo: Demo) -> dict[str, int]:
    return build_service(demo) | build_churn(demo)


builders.add("service", build)
