"""Listen to Look (Gao, Oh, Grauman and Torresani, CVPR 2020): previewing a video by its sound.

Networks for recognition, not for counting, so it is in no table of families that count: a
student that sees one frame and hears one second in place of a clip (`student`, taught by the
losses of `distillation`), and a network that skims a long video's stored features (`skimming`,
`training`). `conversion` reads and writes the authors' released layouts.
"""
