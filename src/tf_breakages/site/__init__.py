"""The site: MkDocs hooks that turn recorded notebooks into pages. Needs no TensorFlow and no pin.

A notebook goes `prepare` (what mkdocs-jupyter gets to see) → mkdocs-jupyter → `extract` (what of its HTML we keep) →
`page` (strips, messages and evidence around it). `lists` fills the hand-written pages; `hooks` is all MkDocs knows of.
"""
