"""The context that Lambda passes to a function."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Context:
    """What the functions read of a Lambda context. `seconds` is the time left."""

    seconds: float = 60.0
    function_name: str = "function"
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return round(self.seconds * 1000)
