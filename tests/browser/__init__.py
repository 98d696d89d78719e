"""The page in Chromium. A package, so that what its tests share ends before other tests begin."""
