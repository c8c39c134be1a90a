#include "core/plugin/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include "core/base/type_check.hpp"

namespace calm {
namespace {

// A table of records at least as long as those of ABI 1.0, which is what we read.
template <class Record>
void check_records(const calm_table &table, std::string_view name, std::uint32_t most = 4096) {
  if (table.count == 0) {
    return;
  }
  if (table.base == nullptr || table.count > most || table.stride < sizeof(Record) ||
      table.stride % alignof(Record) != 0) {
    throw Error(CALM_INTERNAL,
                fmt::format("{}: expected up to {} records of at least {} bytes, found {} of {}{}",
                            name, most, sizeof(Record), table.count, table.stride,
                            table.base == nullptr ? " at null" : ""));
  }
}

void check_values(const calm_table &values, std::string_view name) {
  check_records<calm_value>(values, name);
  for (std::uint32_t i = 0; i < values.count; ++i) {
    check_text(record<calm_value>(values, i).name, name);
    check_text(record<calm_value>(values, i).str, name);
  }
}

void check_specs(const calm_table &specs, std::string_view name) {
  check_records<calm_value_spec>(specs, name);
  for (std::uint32_t i = 0; i < specs.count; ++i) {
    const auto &spec = record<calm_value_spec>(specs, i);
    check_text(spec.name, name);
    check_text(spec.doc, name);
    check_text(spec.str, name);
  }
}

void check_contents(const calm_operator &t) {
  constexpr std::uint32_t kMost = 4096;
  check_text(t.doc, "doc");
  check_specs(t.attrs, "attrs");
  if (t.min_in > t.max_in || t.max_in > kMost || t.max_out > kMost) {
    throw Error(CALM_INTERNAL,
                fmt::format("operands: expected up to {}, found {} to {}, results {}", kMost,
                            t.min_in, t.max_in, t.max_out));
  }
}
void check_contents(const calm_backend &) {}
void check_contents(const calm_format &t) {
  check_text(t.extension, "extension");
  check_text(t.doc, "doc");
}
void check_contents(const calm_tokenizer &) {}
void check_contents(const calm_model &t) {
  check_text(t.doc, "doc");
  check_specs(t.config, "config");
  check_records<calm_preset>(t.presets, "presets");
  for (std::uint32_t i = 0; i < t.presets.count; ++i) {
    const auto &preset = record<calm_preset>(t.presets, i);
    check_text(preset.name, "preset");
    check_values(preset.model, "preset");
    check_values(preset.training, "preset");
  }
}
void check_contents(const calm_trainer &t) {
  check_specs(t.options, "options");
  if (t.samples > CALM_SAMPLES_PAIRS) {
    throw Error(CALM_INTERNAL,
                fmt::format("samples: expected sequences (0) or pairs (1), found {}", t.samples));
  }
}
void check_contents(const calm_domain &t) {
  check_text(t.doc, "doc");
  check_text(t.template_spec, "template");
  check_text(t.stop_conditions, "stop conditions");
}

}  // namespace

void check_text(calm_str text, std::string_view name, std::uint64_t most) {
  if (text.len > most || (text.len > 0 && text.data == nullptr)) {
    throw Error(CALM_INTERNAL,
                fmt::format("{}: expected at most {} bytes of text, found {}{}", name, most,
                            text.len, text.data == nullptr ? " at null" : ""));
  }
}

void check_document(const calm_document *document) {
  if (document == nullptr) {
    throw Error(CALM_INTERNAL, "expected a document, found null");
  }
  constexpr std::uint32_t kMost = 1U << 20;
  constexpr std::uint64_t kMostBytes = 1ULL << 30;
  check_records<calm_value>(document->fields, "fields", kMost);
  for (std::uint32_t i = 0; i < document->fields.count; ++i) {
    const auto &field = record<calm_value>(document->fields, i);
    check_text(field.name, "field");
    check_text(field.str, view(field.name), kMostBytes);
  }
  check_records<calm_named_tensor>(document->tensors, "tensors", kMost);
  for (std::uint32_t i = 0; i < document->tensors.count; ++i) {
    const auto &tensor = record<calm_named_tensor>(document->tensors, i);
    check_text(tensor.name, "tensor");
    if (!is_type(tensor.type)) {
      throw Error(CALM_INTERNAL,
                  fmt::format("tensor {}: expected a type and a shape, found type {}, rank {}",
                              view(tensor.name), tensor.type.dtype, tensor.type.rank));
    }
  }
}

template <class Table>
Table copy_table(const void *vtable, std::uint32_t *plugin_size) {
  if (vtable == nullptr) {
    throw Error(CALM_INTERNAL, "expected a table of functions, found null");
  }
  std::uint32_t size = 0;
  std::memcpy(&size, vtable, sizeof size);
  // Tables are 8-byte aligned and start with two words; any other size is not one of a table.
  constexpr std::uint32_t kLeast = 8;
  constexpr std::uint32_t kMost = 64 * 1024;
  if (size < kLeast || size > kMost || size % alignof(Table) != 0) {
    throw Error(CALM_INTERNAL, fmt::format("expected a table size of {} to {}, a multiple of {}, "
                                           "found {}",
                                           kLeast, kMost, alignof(Table), size));
  }
  Table table{};
  std::memcpy(&table, vtable, std::min<std::size_t>(size, sizeof table));
  table.size = sizeof table;
  check_contents(table);
  *plugin_size = size;
  return table;
}

template calm_operator copy_table(const void *, std::uint32_t *);
template calm_backend copy_table(const void *, std::uint32_t *);
template calm_format copy_table(const void *, std::uint32_t *);
template calm_tokenizer copy_table(const void *, std::uint32_t *);
template calm_model copy_table(const void *, std::uint32_t *);
template calm_trainer copy_table(const void *, std::uint32_t *);
template calm_domain copy_table(const void *, std::uint32_t *);

}  // namespace calm
