"""The embedded AWS services: DynamoDB with its time to live, SNS and the rest of moto."""
