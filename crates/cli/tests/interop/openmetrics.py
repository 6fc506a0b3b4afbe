"""Reads figures on standard input by the parser of the Python client of Prometheus, and prints what it understood as JSON:
each family with its type, its help and its samples."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

text = sys.stdin.read()
families = [
    {
        "name": family.name,
        "type": family.type,
        "help": family.documentation,
        "samples": [{"name": one.name, "labels": one.labels, "value": one.value} for one in family.samples],
    }
    for family in openmetrics(text)
]
# The textfile collector reads the older format.
older = {sample.name for family in classic(text) for sample in family.samples}
print(json.dumps({"families": families, "older": sorted(older)}))
