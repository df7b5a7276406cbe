"""The bundle: a folder with a trained model and all that is needed to predict with it.

`load_model` needs PyTorch, NumPy, Pillow and safetensors alone: `contents`, `load`, `model` and `pixels` import
nothing else.
"""
