"""The PIR estimator: a backbone, and a softmax over 100 bins (sections 2.3, C.3), one scalar, or ridge in closed form."""
