"""CloudWatch's embedded metric format, checked against its specification.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import re
import time
from typing import Any

UNITS = {"Seconds", "Count", "Percent", "Milliseconds", "None"}  # those of the list in use


def assert_counts(line: dict[str, Any]) -> dict[str, tuple[float, str]]:
    """Check the metrics in a log line, and return value and unit by name."""
    metadata = line["_aws"]
    assert set(metadata) == {"Timestamp", "CloudWatchMetrics"}
    assert isinstance(metadata["Timestamp"], int)
    assert abs(metadata["Timestamp"] - time.time() * 1000) < 14 * 24 * 3600 * 1000
    found: dict[str, tuple[float, str]] = {}
    for directive in metadata["CloudWatchMetrics"]:
        assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
        assert re.fullmatch(r"[\w.#:/-]{1,256}", directive["Namespace"])
        assert directive["Dimensions"]
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= 30
            for name in dimensions:
                assert isinstance(line[name], str)
                assert 1 <= len(line[name]) <= 1024
        assert 1 <= len(directive["Metrics"]) <= 100
        for definition in directive["Metrics"]:
            value = line[definition["Name"]]
            assert isinstance(value, int | float)
            assert not isinstance(value, bool)
            assert definition["Unit"] in UNITS
            found[definition["Name"]] = (value, definition["Unit"])
    return found
