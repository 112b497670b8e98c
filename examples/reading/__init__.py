"""How the shipped graphs read documents.

library   files and given texts -> documents      passages  a document -> sections and passages
words     text -> comparable stems                ranking   which passages fit a question
versions  which documents are versions of one     changes, differences   what differs between two of them
questions what is asked                           evidence  what answers it, and how much of it is covered
gist      what a document is about                lookup    all of it at once, for a quick answer
"""
