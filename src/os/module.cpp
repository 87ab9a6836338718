#include "os/module.hpp"

#include <elf.h>
#include <link.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <span>

namespace hardstop::os {
namespace {

// Set in the key of a module that is named by its address. Keys from build-ids have it clear.
constexpr std::uint64_t by_address = std::uint64_t{1} << 63;

// What is known of one module. Immutable once it is in the list; modules stay there when they are
// unloaded, so a library that holds functions of jobs must stay loaded.
struct module_facts {
  std::uint64_t key = 0;
  std::uintptr_t base = 0;
  // Its executable part, relative to the base.
  std::uintptr_t code_begin = 0;
  std::uintptr_t code_end = 0;
  module_facts* next = nullptr;

  bool has_code_at(std::uint64_t offset) const { return offset >= code_begin && offset < code_end; }
};

// Grows at the front, never shrinks: readers need no lock.
std::atomic<module_facts*> known_modules{nullptr};

// What the loader says in numbers.
const void* at_address(std::uintptr_t address) {
  return reinterpret_cast<const void*>(address);  // NOLINT(performance-no-int-to-ptr)
}

// FNV-1a: build-ids are hashes already, their bytes only need to be folded.
std::uint64_t fold(std::span<const unsigned char> bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const unsigned char byte : bytes)
    hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

std::uint64_t key_from(std::span<const unsigned char> build_id) {
  const std::uint64_t key = fold(build_id) & ~by_address;
  return key == 0 ? 1 : key;
}

// The build-id among the notes of a segment; empty if it is not there.
std::span<const unsigned char> find_build_id(const unsigned char* notes, std::size_t size) {
  constexpr std::array<char, 4> owner{'G', 'N', 'U', '\0'};
  std::size_t at = 0;
  while (at + sizeof(ElfW(Nhdr)) <= size) {
    ElfW(Nhdr) note{};
    std::memcpy(&note, notes + at, sizeof note);
    const std::size_t name = at + sizeof note;
    const std::size_t value = name + ((note.n_namesz + 3U) & ~std::size_t{3});
    const std::size_t next = value + ((note.n_descsz + 3U) & ~std::size_t{3});
    if (next > size) break;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == owner.size() &&
        std::memcmp(notes + name, owner.data(), owner.size()) == 0) {
      return {notes + value, note.n_descsz};
    }
    at = next;
  }
  return {};
}

module_facts describe(const dl_phdr_info& info) {
  module_facts facts;
  facts.base = info.dlpi_addr;
  facts.key = by_address | (facts.base >> 1) | 1;
  for (const auto& segment : std::span{info.dlpi_phdr, info.dlpi_phnum}) {
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0) {
      // One executable segment is what linkers make; of several the span between them counts.
      const std::uintptr_t end = segment.p_vaddr + segment.p_memsz;
      if (facts.code_end == 0 || segment.p_vaddr < facts.code_begin) {
        facts.code_begin = segment.p_vaddr;
      }
      if (end > facts.code_end) facts.code_end = end;
    } else if (segment.p_type == PT_NOTE) {
      const auto* const notes =
          static_cast<const unsigned char*>(at_address(info.dlpi_addr + segment.p_vaddr));
      const auto build_id = find_build_id(notes, segment.p_memsz);
      if (!build_id.empty()) facts.key = key_from(build_id);
    }
  }
  return facts;
}

// Calls visit(facts) for each module now loaded until it returns true.
template <class Visit>
void for_each_loaded(Visit visit) {
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* visitor) -> int {
        return (*static_cast<Visit*>(visitor))(describe(*info)) ? 1 : 0;
      },
      &visit);
}

const module_facts* remember(const module_facts& facts) {
  auto* const entry = new module_facts{facts};
  entry->next = known_modules.load(std::memory_order_relaxed);
  // Release: who finds the entry finds its content. Two threads may add the same module; harmless.
  while (!known_modules.compare_exchange_weak(entry->next, entry, std::memory_order_release,
                                              std::memory_order_relaxed)) {
  }
  return entry;
}

// The module that fits, from the list or else from the loader.
template <class Fits>
const module_facts* find(Fits fits) {
  for (const module_facts* entry = known_modules.load(std::memory_order_acquire); entry != nullptr;
       entry = entry->next) {
    if (fits(*entry)) return entry;
  }
  const module_facts* found = nullptr;
  for_each_loaded([&](const module_facts& facts) {
    if (!fits(facts)) return false;
    found = remember(facts);
    return true;
  });
  return found;
}

}  // namespace

std::optional<code_location> locate(const void* function) {
  const auto address = reinterpret_cast<std::uintptr_t>(function);
  const auto* const home = find([address](const module_facts& facts) {
    return address >= facts.base && facts.has_code_at(address - facts.base);
  });
  if (home == nullptr) return std::nullopt;
  return code_location{.module = home->key, .offset = address - home->base};
}

bool travels_by_exec(std::uint64_t module) {
  return (module & by_address) == 0;
}

const void* resolve(const code_location& location) {
  const auto* const home = find([&](const module_facts& facts) {
    return facts.key == location.module && facts.has_code_at(location.offset);
  });
  if (home == nullptr) return nullptr;
  return at_address(home->base + location.offset);
}

std::uint64_t program_key() {
  static const std::uint64_t key = [] {
    std::uint64_t first = 0;
    // The loader lists the program itself first.
    for_each_loaded([&first](const module_facts& facts) {
      first = facts.key;
      return true;
    });
    return travels_by_exec(first) ? first : 0;
  }();
  return key;
}

std::string describe_unresolved(const code_location& location) {
  std::array<char, 512> text{};
  if (!travels_by_exec(location.module)) {
    return "the function lives in a program or library without a build-id, which an executed "
           "worker "
           "cannot find; link it with -Wl,--build-id, or start workers by fork";
  }
  (void)std::snprintf(
      text.data(), text.size(),
      "no module with build-id key %016llx is loaded in this worker that has code at offset %#llx "
      "(this program is %016llx): client and worker must run the same build, and a library that "
      "holds the function must be loaded before jobs arrive",
      static_cast<unsigned long long>(location.module),
      static_cast<unsigned long long>(location.offset),
      static_cast<unsigned long long>(program_key()));
  return text.data();
}

}  // namespace hardstop::os
