"""Prices in US dollars, without any free tier except where AWS gives one to everybody for good.

They are not verified. They were written down from memory of AWS's public price pages on 2026-11-25
and were compared with the price list API for neither region: check them before you decide anything
by them. https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-changes.html
"""

from __future__ import annotations

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True)
class Prices:
    """The prices of one region, each for one unit."""

    # https://aws.amazon.com/api-gateway/pricing/ (WebSocket, the first billion messages a month)
    message: float
    connection_minute: float
    # https://aws.amazon.com/lambda/pricing/ (arm64, the first tier)
    lambda_gb_second: float
    lambda_request: float
    # https://aws.amazon.com/dynamodb/pricing/on-demand/
    write_unit: float
    read_unit: float
    table_gb: float
    backup_gb: float
    # https://aws.amazon.com/sns/pricing/ and https://aws.amazon.com/eventbridge/pricing/
    publish: float
    queue_request: float  # https://aws.amazon.com/sqs/pricing/
    event: float
    # https://aws.amazon.com/cloudwatch/pricing/
    log_gb: float
    log_stored_gb: float
    metric: float
    alarm_metric: float
    dashboard: float
    # https://aws.amazon.com/ec2/pricing/on-demand/#Data_Transfer (to the internet, the first tier)
    transfer_gb: float


REGIONS = {
    "us-east-1": Prices(
        message=1.00 / MILLION,
        connection_minute=0.25 / MILLION,
        lambda_gb_second=0.0000133334,
        lambda_request=0.20 / MILLION,
        write_unit=0.625 / MILLION,
        read_unit=0.125 / MILLION,
        table_gb=0.25,
        backup_gb=0.20,
        publish=0.50 / MILLION,
        queue_request=0.40 / MILLION,
        event=1.00 / MILLION,
        log_gb=0.50,
        log_stored_gb=0.03,
        metric=0.30,
        alarm_metric=0.10,
        dashboard=3.00,
        transfer_gb=0.09,
    ),
    "ap-northeast-2": Prices(
        message=1.15 / MILLION,
        connection_minute=0.288 / MILLION,
        lambda_gb_second=0.0000133334,
        lambda_request=0.20 / MILLION,
        write_unit=0.678 / MILLION,
        read_unit=0.1355 / MILLION,
        table_gb=0.27,
        backup_gb=0.22,
        publish=0.50 / MILLION,
        queue_request=0.40 / MILLION,
        event=1.00 / MILLION,
        log_gb=0.76,
        log_stored_gb=0.0314,
        metric=0.30,
        alarm_metric=0.10,
        dashboard=3.00,
        transfer_gb=0.126,
    ),
}
