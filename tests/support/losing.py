"""A client of DynamoDB whose answers are lost."""

from collections import Counter
from typing import Any

from botocore.exceptions import ReadTimeoutError
from mypy_boto3_dynamodb import DynamoDBClient


class Losing:
    """A client whose first `lost` calls of a method are carried out and never answered.

    The first `unsent` of a method are not carried out, and not answered either.
    """

    def __init__(
        self, client: DynamoDBClient, lost: dict[str, int], unsent: dict[str, int] | None = None
    ) -> None:
        self.meta = client.meta
        self._client: Any = client
        self._lost = Counter(lost)
        self._unsent = Counter(unsent or {})

    def __getattr__(self, method: str) -> Any:
        def call(**arguments: Any) -> Any:
            silence = ReadTimeoutError(endpoint_url="http://x")
            if self._unsent[method]:
                self._unsent[method] -= 1
                raise silence
            if not self._lost[method]:
                return getattr(self._client, method)(**arguments)
            self._lost[method] -= 1
            try:
                getattr(self._client, method)(**arguments)
            finally:
                raise silence

        return call
