#include "onednn/schedule.hpp"

#include <algorithm>
#include <utility>

namespace calm::onednn {
namespace {

/// What a set of nodes touches.
class Touched {
 public:
  explicit Touched(const ProgramInfo &info)
      : info_(&info),
        made_(info.tensors.size()),
        read_(info.tensors.size()),
        written_(info.tensors.size()) {}

  void add(const NodeInfo &node) {
    each(node, [this](std::uint32_t id, bool output) {
      const std::uint32_t storage = info_->tensors[id].storage;
      (output ? written_ : read_)[storage] = true;
      if (output) {
        made_[id] = true;
      }
    });
  }
  /// Whether the node needs a value that they make.
  bool makes_input_of(const NodeInfo &node) const {
    bool found = false;
    each(node, [&](std::uint32_t id, bool output) { found = found || (!output && made_[id]); });
    return found;
  }
  bool makes(std::uint32_t id) const { return made_[id]; }
  bool writes(std::uint32_t storage) const { return written_[storage]; }
  bool touches(std::uint32_t storage) const { return read_[storage] || written_[storage]; }
  /// Whether the node and they write what the other reads or writes.
  bool conflicts_with(const NodeInfo &node) const {
    bool found = false;
    each(node, [&](std::uint32_t id, bool output) {
      const std::uint32_t storage = info_->tensors[id].storage;
      found = found || written_[storage] || (output && read_[storage]);
    });
    return found;
  }

 private:
  template <class Visit>
  static void each(const NodeInfo &node, Visit visit) {
    for (std::size_t k = 0; k < node.operands.size(); ++k) {
      if (node.operands[k] != CALM_NONE) {
        visit(node.operands[k], k >= node.inputs());
      }
    }
  }

  const ProgramInfo *info_;
  std::vector<bool> made_, read_, written_;
};

/// A segment under construction.
class Opened {
 public:
  Opened(const ProgramInfo &info, std::uint32_t first) : info_(&info), touched_(info) {
    group_.segment = true;
    rows_ = info.nodes[first].rows;
    add(first);
  }

  bool takes(const NodeInfo &node) const {
    if (node.kernel == nullptr || !node.tokens || node.rows != rows_ ||
        (node.offsets != CALM_NONE && offsets_ != CALM_NONE && node.offsets != offsets_)) {
      return false;
    }
    for (std::size_t k = 0; k < node.operands.size(); ++k) {
      const std::uint32_t id = node.operands[k];
      if (id == CALM_NONE || !touched_.makes(id)) {
        continue;
      }
      // By rows, of a shard's own rows, or not at all.
      const bool by_rows = node.axes[k] == Axis::kRows || node.axes[k] == Axis::kChunks;
      if (!by_rows || k >= node.inputs() || made_whole(id)) {
        return false;
      }
    }
    return !shares_storage(node);
  }
  void add(std::uint32_t index) {
    const NodeInfo &node = info_->nodes[index];
    group_.nodes.push_back(index);
    touched_.add(node);
    if (node.offsets != CALM_NONE) {
      offsets_ = node.offsets;
    }
  }
  bool makes_input_of(const NodeInfo &node) const { return touched_.makes_input_of(node); }
  bool conflicts_with(const NodeInfo &node) const { return touched_.conflicts_with(node); }
  Group take() { return std::move(group_); }

 private:
  /// Whether a value of the segment is complete only at its end: sums and rows of sequences.
  bool made_whole(std::uint32_t id) const {
    const NodeInfo &maker = info_->nodes[info_->tensors[id].maker];
    for (std::size_t k = maker.inputs(); k < maker.operands.size(); ++k) {
      if (maker.operands[k] == id) {
        return maker.is_sum(k) || maker.axes[k] == Axis::kSequences ||
               maker.axes[k] == Axis::kWhole;
      }
    }
    return true;
  }
  /// Overwritten storage is read and written by one node of a segment alone.
  bool shares_storage(const NodeInfo &node) const {
    for (std::size_t k = node.inputs(); k < node.operands.size(); ++k) {
      const std::uint32_t id = node.operands[k];
      if (id != CALM_NONE && info_->tensor(id).updates != CALM_NONE &&
          touched_.touches(info_->tensors[id].storage)) {
        return true;
      }
    }
    for (std::size_t k = 0; k < node.inputs(); ++k) {
      const std::uint32_t id = node.operands[k];
      if (id != CALM_NONE && !touched_.makes(id) && touched_.writes(info_->tensors[id].storage)) {
        return true;
      }
    }
    return false;
  }

  const ProgramInfo *info_;
  Group group_;
  Touched touched_;
  std::size_t rows_;
  std::uint32_t offsets_ = CALM_NONE;
};

Group alone(const ProgramInfo &info, std::uint32_t node) {
  return {info.nodes[node].kernel != nullptr, {node}};
}

/// Builds one segment out of `left` and everything that need not wait for it; the rest waits.
std::vector<std::uint32_t> step(const ProgramInfo &info, const std::vector<std::uint32_t> &left,
                                std::vector<Group> &groups) {
  std::size_t i = 0;
  for (; i < left.size() && !(info.nodes[left[i]].kernel != nullptr && info.nodes[left[i]].tokens);
       ++i) {
    groups.push_back(alone(info, left[i]));
  }
  if (i == left.size()) {
    return {};
  }
  Opened opened(info, left[i]);
  Touched waiting(info);
  std::vector<std::uint32_t> later;
  for (++i; i < left.size(); ++i) {
    const NodeInfo &node = info.nodes[left[i]];
    const bool waits = waiting.makes_input_of(node) || waiting.conflicts_with(node);
    if (!waits && opened.takes(node)) {
      opened.add(left[i]);
    } else if (!waits && !opened.makes_input_of(node) && !opened.conflicts_with(node)) {
      groups.push_back(alone(info, left[i]));
    } else {
      waiting.add(node);
      later.push_back(left[i]);
    }
  }
  groups.push_back(opened.take());
  return later;
}

}  // namespace

Schedule schedule(const ProgramInfo &info) {
  Schedule out;
  std::vector<std::uint32_t> left;
  for (std::uint32_t i = 0; i < info.nodes.size(); ++i) {
    if (info.nodes[i].prologue) {
      out.prologue.push_back(alone(info, i));
    } else {
      left.push_back(i);
    }
  }
  while (!left.empty()) {
    left = step(info, left, out.groups);
  }
  return out;
}

}  // namespace calm::onednn
