"""What a worker and a page need of any learner; the Bayesian CNN is one."""
