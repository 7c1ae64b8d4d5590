"""The data of pre-training, made in torch on any device as fast as it is used: seas, clouds, coasts and noise.

It needs torch, numpy and scipy alone, so that it runs on a bare machine with a GPU.
"""
