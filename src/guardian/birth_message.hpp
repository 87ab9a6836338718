// Births that failed, in sentences: what happened, where, and what to do about it.
#pragma once

#include <chrono>

#include "guardian/birth.hpp"
#include "os/error.hpp"
#include "os/proc.hpp"
#include "wire/control.hpp"

namespace hardstop::guardian {

[[nodiscard]] birth_failure no_containment(os::proc_support found);
[[nodiscard]] birth_failure cannot_prepare(const os::error& cause);
[[nodiscard]] birth_failure cannot_fork(int error);
[[nodiscard]] birth_failure told_by_newborn(const birth_in_progress& begun,
                                            const wire::birth_failed& told);
[[nodiscard]] birth_failure no_answer(const birth_in_progress& begun,
                                      std::chrono::milliseconds waited);

// The cure for a machine without /proc or without lists of children; also what `hardstop doctor`
// says.
[[nodiscard]] const char* cure_for(os::proc_support found);

}  // namespace hardstop::guardian
