"""The steps from a network to a measured file, on Keras models or on runs: the functions of `import hrnet_tf`.

A Keras model goes with data as `fit` takes them, a run (or the path of its folder) with a data set such as `CocoKeypoints`. On
runs, the functions do what the commands of the same names do. What a step needs is imported when it is called.
"""
