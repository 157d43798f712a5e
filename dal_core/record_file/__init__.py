"""The report's YAML record: schema, validation, building, reading and writing."""
