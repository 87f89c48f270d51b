"""Programs that measure spacy-wnut and write the tables of README and docs."""
