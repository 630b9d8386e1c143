def reconstruct(net, dense, rows, masks, **o):
    return net
