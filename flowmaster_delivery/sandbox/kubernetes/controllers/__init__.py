"""What moves by itself in the cluster: rollouts, pods, jobs, garbage.

A controller is told the key of an object that may need work, looks at the store, brings it one step
nearer to what its spec asks, and says when to ask again. It keeps no position of its own: whatever
was missed is seen the next time. HTTP does not belong here.
"""
