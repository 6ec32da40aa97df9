"""The trained network in NumPy; Keras is never imported here.

cells.py            the weights, state and step of an LSTM, GRU or simple RNN
layers.py           a cell with its input: looked up, multiplied, or joined with h
network.py          the weights of a whole model: layers and the output layer
reading.py          the state of one text, or of a batch of texts, and its steps
language_model.py   a network with its vocabulary, as sampling and scoring use it
threads.py          threads for matrix products, whose number changes no bit of the results
"""
