"""How the sample graphs read documents, without a model.

library   files and given texts -> documents      passages  a document -> sections and passages
words     text -> comparable stems                ranking   which passages fit a question
versions  which documents are versions of one     changes, differences   what differs between two of them
questions the parts and words of a question        evidence  the passages that answer it, and how much they cover
key_sentences    what a document is about         document_search   one question, a few documents
"""
