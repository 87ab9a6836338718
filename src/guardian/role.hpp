// Which part a freshly executed image of ours plays (start methods forkserver and spawn).
//
// A role is given by an environment variable and a last argument that must agree, so that neither
// an inherited environment nor a user's argument is mistaken for one. Both are taken away as soon
// as the role is taken up: what a job starts does not inherit it.
#pragma once

#include <cstdint>

#include "guardian/hooks.hpp"

namespace hardstop::guardian {

enum class process_role : std::uint8_t {
  client,    // an ordinary process: nothing to do with us
  guardian,  // executed to become warden and guardian
  worker,    // executed by a guardian to be one worker
};

// Reads only; any thread, any time. A process that answers other than client and is about to make a
// pool has not called hardstop::init(argc, argv): refuse, or every worker would make workers.
[[nodiscard]] process_role role_of_this_process();

// The same, from main's arguments.
[[nodiscard]] process_role role_of_this_process(int argc, const char* const* argv);

// Plays the role and never returns; must not be called by a client.
[[noreturn]] void serve(guardian_hooks& hooks);

}  // namespace hardstop::guardian
