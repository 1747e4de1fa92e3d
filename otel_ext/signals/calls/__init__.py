"""What a call and an answer say of themselves, digested: classes, subjects, words, kinds of failure."""
