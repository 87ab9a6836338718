// What a program calls first in main() if it uses forkserver or spawn.
#pragma once

namespace hardstop {

/// With start_method::forkserver and spawn, workers are this same program, executed again. In those
/// processes init() does not return: it becomes the guardian or the worker. Everywhere else it does
/// nothing and costs nothing. So call it before anything that a worker should not repeat:
///
///   int main(int argc, char** argv) {
///     hardstop::init(argc, argv);
///     …
///   }
///
/// A pool that is used in such a process before init() throws not_initialised. Not needed with
/// start_method::fork, and harmless.
void init(int argc, char** argv);

}  // namespace hardstop
