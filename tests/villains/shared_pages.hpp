// For villains that write where they should not.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>

namespace villains {

// Garbage over all memory of hardstop's that this process can write, as a wild pointer would.
inline void scribble(unsigned seed) {
  std::ifstream maps("/proc/self/maps");
  std::minstd_rand garbage(seed);
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:hardstop") == std::string::npos) continue;
    // begin-end permissions offset device inode name
    unsigned long begin = 0;
    unsigned long end = 0;
    if (line.find(" rw-s ") == std::string::npos) continue;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2) continue;
    end = std::min(end, begin + (1UL << 20));  // arenas are large and mostly holes
    for (auto at = begin; at < end; at += sizeof(std::uint32_t)) {
      *reinterpret_cast<volatile std::uint32_t*>(at) = static_cast<std::uint32_t>(garbage());
    }
  }
}

}  // namespace villains
