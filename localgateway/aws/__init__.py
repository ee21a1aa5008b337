"""The embedded AWS services: DynamoDB with its time to live, SNS and what else moto offers."""
