// Large bytes into memory that Python has just taken from the system.
#pragma once

#include <cstddef>

namespace hardstop::python {

// As memcpy. Fresh pages are asked for in batches, just before they are written: a fault for each
// takes twice as long as the copy.
void copy_large(void* to, const void* from, std::size_t size) noexcept;

}  // namespace hardstop::python
