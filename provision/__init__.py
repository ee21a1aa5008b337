"""Makes the DynamoDB tables that the resources file defines."""
