"""The figures, one module a subject: tables in, Matplotlib figures out."""
