"""Names of scipy that it has not made public."""

from scipy.sparse._sparsetools import csc_matvec, csc_matvecs

# Add a sparse matrix by columns, times a vector or a matrix of C order, to what is there
# already. The public product makes a matrix of zeros, and copies what is not in C order.
__all__ = ["csc_matvec", "csc_matvecs"]
