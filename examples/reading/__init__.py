"""How the sample graphs read documents, without a model.

library   files and texts of the input -> documents   passages  a document -> sections and passages
words     text -> comparable stems                ranking   passages in order of relevance for a question
versions  groups the versions of one document     changes, differences   the differences between two versions
questions the parts and words of a question        evidence  the passages that answer a question
key_sentences    a summary of a document           document_search   answers one question from a few documents
"""
