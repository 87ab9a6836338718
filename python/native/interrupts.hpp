// Jobs that asked to be interrupted when they are cancelled.
#pragma once

namespace hardstop::python {

// The job that runs, in this thread: when it is asked to stop, and is in no shield, this thread
// gets the signal again and again until stop_interrupting(). From a thread of its own, which starts
// with the first such job. In a worker, with the GIL; the signal must have a handler. Throws
// std::system_error if the thread cannot be made.
void interrupt_when_asked(int signal);

// The job has heard, or is over: none is sent any more, and none that was sent is still to arrive.
// In the thread of the job. Does nothing where none was to be sent, nor in a forked child.
void stop_interrupting();

}  // namespace hardstop::python
