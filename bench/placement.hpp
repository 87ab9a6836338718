// Which CPUs things run on.
#pragma once

namespace bench {

struct cpu_pair {
  int first = 0;
  int second = 0;  // the same where there is but one
};

// The first two CPUs that this process may use.
cpu_pair two_cpus();

// Keeps the calling thread, and what it starts from now on, to these.
void stay_on(cpu_pair cpus);
void stay_on(int cpu);

}  // namespace bench
