__title__ = "spacy-wnut"
__version__ = "0.1.0"
__summary__ = "Named entities in posts, comments and chat: a trainable spaCy pipe with exact confidences"
