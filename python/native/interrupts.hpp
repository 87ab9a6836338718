// Jobs that asked to be interrupted when they are cancelled.
#pragma once

namespace hardstop::python {

// The job that runs, in this thread: when it is asked to stop this thread gets the signal that is
// returned, once. From a thread of its own, which starts with the first such job. In a worker, with
// the GIL. Throws std::system_error if the thread cannot be made.
int interrupt_when_asked();

}  // namespace hardstop::python
