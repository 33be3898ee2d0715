"""What is sent and what is answered, as models: the checks and the OpenAPI document's source."""
