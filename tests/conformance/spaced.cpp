#include "tests/conformance/spaced.hpp"

#include <algorithm>
#include <numeric>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

namespace calm::conformance {

using graph::Slot;

namespace {

constexpr std::uint64_t kAlign = 256;  // of tensors, as the core places them

template <class Record>
std::vector<Record> records(const calm_table &table) {
  std::vector<Record> out;
  for (std::uint32_t i = 0; i < table.count; ++i) {
    out.push_back(record<Record>(table, i));
  }
  return out;
}

}  // namespace

// Numbers the island of each tensor; CALM_NONE for constants and step values.
std::vector<std::uint32_t> SpacedProgram::find_islands() {
  std::vector<std::uint32_t> parent(tensors_.size());
  std::iota(parent.begin(), parent.end(), 0u);
  const auto root = [&parent](std::uint32_t i) {
    while (parent[i] != i) {
      i = parent[i];
    }
    return i;
  };
  for (std::uint32_t i = 0; i < tensors_.size(); ++i) {
    const calm_tensor &a = tensors_[i];
    for (const std::uint32_t target : {a.view_of, a.updates}) {
      if (target != CALM_NONE) {
        parent[root(i)] = root(target);
      }
    }
    // Temporaries share bytes one after another; in other slots shared bytes are shared values.
    for (std::uint32_t k = 0; k < i && a.slot != CALM_NONE; ++k) {
      const calm_tensor &b = tensors_[k];
      if (a.slot == b.slot && slots_[a.slot].workspace == 0 && a.offset < b.offset + b.bytes &&
          b.offset < a.offset + a.bytes) {
        parent[root(i)] = root(k);
      }
    }
  }
  std::vector<std::uint32_t> island(tensors_.size(), CALM_NONE);
  for (std::uint32_t i = 0; i < tensors_.size(); ++i) {
    const calm_tensor &t = tensors_[i];
    if (t.slot == CALM_NONE) {
      continue;
    }
    std::uint32_t &number = island[root(i)];
    if (number == CALM_NONE) {
      number = static_cast<std::uint32_t>(islands_.size());
      islands_.push_back({t.slot, {t.offset, t.offset + t.bytes}, 0});
    }
    Range &was = islands_[number].was;
    was = {std::min(was.begin, t.offset), std::max(was.end, t.offset + t.bytes)};
    island[i] = number;
  }
  return island;
}

SpacedProgram::SpacedProgram(const graph::Program &program)
    : slots_(records<calm_slot>(program.table().slots)),
      tensors_(records<calm_tensor>(program.table().tensors)),
      zones_(slots_.size()),
      table_(program.table()) {
  const std::vector<std::uint32_t> island = find_islands();
  for (std::uint32_t s = 0; s < slots_.size(); ++s) {
    std::uint64_t end = 0;
    for (Island &i : islands_) {
      if (i.slot == s) {
        i.now = (end + kZone + kAlign - 1) / kAlign * kAlign + i.was.begin % kAlign;
        zones_[s].push_back({end, i.now});
        end = i.now + (i.was.end - i.was.begin);
      }
    }
    slots_[s].bytes = end == 0 ? 0 : end + kZone;
    zones_[s].push_back({end, slots_[s].bytes});
  }
  for (std::uint32_t i = 0; i < tensors_.size(); ++i) {
    if (island[i] != CALM_NONE) {
      const Island &its = islands_[island[i]];
      tensors_[i].offset = its.now + (tensors_[i].offset - its.was.begin);
    }
  }
  table_.slots = calm::table(slots_);
  table_.tensors = calm::table(tensors_);
  table_.hash[0] ^= 0x5bd1e995u;  // another program
}

std::uint64_t SpacedProgram::moved(Slot slot, std::uint64_t offset) const {
  for (const Island &i : islands_) {
    if (i.slot == static_cast<std::uint32_t>(slot) && i.was.begin <= offset && offset < i.was.end) {
      return i.now + (offset - i.was.begin);
    }
  }
  throw Error(CALM_INTERNAL, "no tensor of the program lies there");
}

}  // namespace calm::conformance
