"""The Label page: start form, actions, reveal, charts."""
