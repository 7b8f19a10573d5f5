"""The report: one self-contained page that shows why a number is what it is.

``collect`` reads runs into records, ``views`` makes what the page shows of numbers, ``plots`` draws them as SVG,
``slices`` packs samples, and ``page`` writes the file. Numbers are plain HTML, so they need no script; samples are
drawn in the browser by the modules in ``assets/``, which make elements and never markup, because everything in a run
folder is somebody else's. ``evidence`` has what audits say of judges, and the bridges behind predicted numbers.

``site`` says which pages a site of many runs has, ``site_pages`` makes them, and ``site_writing`` writes what has
changed.
"""
