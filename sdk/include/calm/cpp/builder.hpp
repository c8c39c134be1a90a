#pragma once

#include <calm/builder.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

namespace calm {

/// A value of a graph under construction; empty when absent.
struct Value {
  calm_value_id id = CALM_NONE;
  explicit operator bool() const { return id != CALM_NONE; }
};

/// calm_builder with exceptions and vectors. Cheap; holds a reference to the C table.
class Builder {
 public:
  explicit Builder(const calm_builder &table) : table_(&table) {}

  const calm_builder &table() const { return *table_; }
  /// dtype of activations and parameters: CALM_F32, or CALM_F64 in gradient checks.
  calm_dtype real() const { return table_->real; }

  calm_type type(Value value) const {
    calm_type out{};
    call(table_->type, table_->self, value.id, &out);
    return out;
  }

  /// Adds a node and returns all of its outputs.
  std::vector<Value> emit(std::string_view op, std::initializer_list<Value> ins,
                          std::initializer_list<calm_value> attrs = {},
                          std::uint32_t revision = 1) const {
    return emit(op, std::span(ins.begin(), ins.size()), std::span(attrs.begin(), attrs.size()),
                revision);
  }
  std::vector<Value> emit(std::string_view op, std::span<const Value> ins,
                          std::span<const calm_value> attrs, std::uint32_t revision = 1) const {
    std::vector<calm_value_id> ids;
    for (const Value v : ins) {
      ids.push_back(v.id);
    }
    constexpr std::uint32_t kCapacity = 16;
    calm_value_id outs[kCapacity];
    std::uint32_t n_out = 0;
    call(table_->emit, table_->self, str(op), revision, ids.data(),
         static_cast<std::uint32_t>(ids.size()), attrs.data(),
         static_cast<std::uint32_t>(attrs.size()), outs, kCapacity, &n_out);
    std::vector<Value> values;
    for (std::uint32_t i = 0; i < n_out; ++i) {
      values.push_back(Value{outs[i]});
    }
    return values;
  }
  /// Adds a node and returns its first output.
  Value op(std::string_view name, std::initializer_list<Value> ins,
           std::initializer_list<calm_value> attrs = {}) const {
    return emit(name, ins, attrs).front();
  }

  Value constant(const calm_type &type, const void *data) const {
    Value out;
    call(table_->constant, table_->self, &type, data, &out.id);
    return out;
  }
  Value param(const calm_param &param) const {
    Value out;
    call(table_->param, table_->self, &param, &out.id);
    return out;
  }
  Value step_value(std::string_view name, calm_dtype dtype) const {
    Value out;
    call(table_->step_value, table_->self, str(name), dtype, &out.id);
    return out;
  }
  Value state_in(std::string_view name, std::initializer_list<std::int64_t> shape) const {
    Value out;
    call(table_->state_in, table_->self, str(name), real(), shape.begin(),
         static_cast<std::uint32_t>(shape.size()), &out.id);
    return out;
  }
  void state_out(std::string_view name, Value value) const {
    call(table_->state_out, table_->self, str(name), value.id);
  }

  /// Names the nodes emitted while it lives.
  class Scope {
   public:
    Scope(const Builder &builder, std::string_view name) : table_(builder.table_) {
      table_->push_scope(table_->self, str(name));
    }
    ~Scope() { table_->pop_scope(table_->self); }
    Scope(const Scope &) = delete;
    Scope &operator=(const Scope &) = delete;

   private:
    const calm_builder *table_;
  };

 private:
  const calm_builder *table_;
};

}  // namespace calm
