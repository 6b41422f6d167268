"""Any-time super-resolution: as good as the time allows.

A supernet holds variants of several prices, and interpolation is one more. Each region of a picture goes through the
variant that it is worth: `scores` says how much detail a region has, a `table` in the bundle how well each variant does
there, `ways` which windows buy the most for each price, and `pace` which of them are run, by the clock. After ARM (Chen et
al., ECCV 2022), whose budget was one of multiply-adds; this one is of seconds.
"""
