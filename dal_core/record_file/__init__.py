"""The YAML record of an experiment: schema, validation, building, reading and writing."""
