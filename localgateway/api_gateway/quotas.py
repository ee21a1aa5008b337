"""API Gateway's quotas for WebSocket APIs: sizes in bytes, times in seconds.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
"""

# In characters, of scheme, domain, path and query string.
URL_LENGTH = 4096
# Of a request, its first line included.
HEAD_LIMIT = 16 * 1024
MESSAGE_SIZE = 128 * 1024
FRAME_SIZE = 32 * 1024
INTEGRATION_TIMEOUT = 29.0
IDLE_TIMEOUT = 600.0
CONNECTION_DURATION = 7200.0
