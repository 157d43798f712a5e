"""The guided tour through the Explain page."""
