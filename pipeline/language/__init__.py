"""Which language a text is in, by langdetect's method.

detect              the language of each document, and the stage's decision whether it is kept
compiled            langdetect's algorithm compiled with numba: the same answers in a hundredth of the time
foreign_paragraphs  how much of other languages is left in documents that are kept
"""
