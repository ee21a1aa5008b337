"""What AWS asks for in us-east-1, in US dollars, without any free tier."""

# https://aws.amazon.com/lambda/pricing/ (arm64)
LAMBDA_GB_SECOND = 0.0000133334
LAMBDA_REQUEST = 0.20 / 1_000_000
# https://aws.amazon.com/dynamodb/pricing/on-demand/
DYNAMODB_READ_UNIT = 0.125 / 1_000_000
DYNAMODB_WRITE_UNIT = 0.625 / 1_000_000
# https://aws.amazon.com/api-gateway/pricing/ (WebSocket, the first billion a month)
API_GATEWAY_MESSAGE = 1.00 / 1_000_000
