"""An app that only real worker processes of the tests know: work that leaves countable rows."""
