"""How the shipped graphs read documents.

library   files and given texts -> documents      passages  a document -> sections and passages
words     text -> comparable stems                ranking   which passages fit a question
versions  which documents are versions of one     changes   what differs between two of them
lookup    all of it at once, for a quick answer
"""
