"""API Gateway's quotas for WebSocket APIs: sizes in bytes, times in seconds.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
"""

MESSAGE_SIZE = 128 * 1024
FRAME_SIZE = 32 * 1024
INTEGRATION_TIMEOUT = 29.0
IDLE_TIMEOUT = 600.0
CONNECTION_DURATION = 7200.0
