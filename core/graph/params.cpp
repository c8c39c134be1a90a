#include "core/graph/params.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

namespace calm::graph {

namespace {

// 256 bytes of 4-byte elements; with 8-byte elements views are then 512-byte aligned.
constexpr std::uint64_t kAlignElements = 64;

bool same_type(const calm_type &a, const calm_type &b) {
  if (a.dtype != b.dtype || a.rank != b.rank) {
    return false;
  }
  for (std::uint32_t i = 0; i < a.rank; ++i) {
    if (a.shape[i] != b.shape[i]) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::uint32_t ParamLayout::declare(const calm_param &param) {
  const std::string_view name = view(param.name);
  if (const std::uint32_t known = find(name); known != CALM_NONE) {
    if (!same_type(params_[known].type, param.type)) {
      throw Error(CALM_INVALID_ARGUMENT, "parameter " + std::string(name) + ": expected " +
                                             describe(params_[known].type) + ", found " +
                                             describe(param.type));
    }
    return known;
  }
  if (frozen_) {
    throw Error(CALM_INVALID_ARGUMENT,
                "parameter " + std::string(name) + " is not part of the model being run");
  }
  Param p;
  p.name = std::string(name);
  p.type = param.type;
  p.decay = param.decay != 0;
  p.frozen = param.frozen != 0;
  p.init = param.init;
  std::copy(std::begin(param.args), std::end(param.args), std::begin(p.args));
  p.fill = param.fill;
  params_.push_back(std::move(p));
  return static_cast<std::uint32_t>(params_.size() - 1);
}

void ParamLayout::freeze() {
  if (frozen_) {
    return;
  }
  frozen_ = true;
  const auto place = [this](const char *name, auto &&member, bool trained, bool decay) {
    FlatGroup group{name, decay, elements_, 0};
    for (Param &p : params_) {
      if (member(p)) {
        p.offset = elements_;
        const auto n = static_cast<std::uint64_t>(calm::elements(p.type));
        elements_ += (n + kAlignElements - 1) / kAlignElements * kAlignElements;
      }
    }
    group.count = elements_ - group.begin;
    if (trained && group.count > 0) {
      groups_.push_back(std::move(group));
    }
  };
  place(
      "decay", [](const Param &p) { return !p.frozen && p.decay; }, true, true);
  place(
      "plain", [](const Param &p) { return !p.frozen && !p.decay; }, true, false);
  place(
      "frozen", [](const Param &p) { return p.frozen; }, false, false);
}

std::uint32_t ParamLayout::find(std::string_view name) const {
  for (std::size_t i = 0; i < params_.size(); ++i) {
    if (params_[i].name == name) {
      return static_cast<std::uint32_t>(i);
    }
  }
  return CALM_NONE;
}

std::uint64_t ParamLayout::count() const {
  std::uint64_t n = 0;
  for (const Param &p : params_) {
    n += static_cast<std::uint64_t>(calm::elements(p.type));
  }
  return n;
}

}  // namespace calm::graph
