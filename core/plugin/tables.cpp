#include "core/plugin/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <tuple>
#include <type_traits>

#include <calm/cpp/error.hpp>

namespace calm {
namespace {

// The stub of one slot: Text{}() is "backend: copy is not provided by the plugin".
template <class Function, class Text>
struct Stub;

template <class Result, class... Args, class Text>
struct Stub<Result (*)(Args...), Text> {
  static Result call(Args... args) {
    if constexpr (std::is_same_v<std::tuple_element_t<sizeof...(Args) - 1, std::tuple<Args...>>,
                                 calm_error *>) {
      return fail(std::get<sizeof...(Args) - 1>(std::tuple<Args...>(args...)), CALM_UNSUPPORTED,
                  Text{}());
    } else if constexpr (!std::is_void_v<Result>) {
      return Result{};
    }
  }
};

class SlotFiller {
 public:
  SlotFiller(const void *table, std::uint32_t plugin_size, MissingSlots *missing)
      : table_(static_cast<const char *>(table)), plugin_size_(plugin_size), missing_(missing) {}

  template <class Function, class Text>
  void fill(Function &slot, Text text) const {
    if (slot != nullptr) {
      return;
    }
    const std::string_view sentence = text();
    const std::size_t start = sentence.find(": ") + 2;
    const std::string name(sentence.substr(start, sentence.find(' ', start) - start));
    const auto offset = reinterpret_cast<const char *>(&slot) - table_;
    const bool reached = static_cast<std::size_t>(offset) + sizeof slot <= plugin_size_;
    (reached ? missing_->absent : missing_->newer).push_back(name);
    slot = &Stub<Function, Text>::call;
  }

 private:
  const char *table_;
  std::uint32_t plugin_size_;
  MissingSlots *missing_;
};

void fill(calm_operator *t, const SlotFiller &slots) {
  slots.fill(t->infer, [] { return "operator: infer is not provided by the plugin"; });
  slots.fill(t->cost, [] { return "operator: cost is not provided by the plugin"; });
}

void fill(calm_backend *t, const SlotFiller &slots) {
  slots.fill(t->devices, [] { return "backend: devices is not provided by the plugin"; });
  slots.fill(t->device, [] { return "backend: device is not provided by the plugin"; });
  slots.fill(t->score, [] { return "backend: score is not provided by the plugin"; });
  slots.fill(t->open, [] { return "backend: open is not provided by the plugin"; });
  slots.fill(t->close, [] { return "backend: close is not provided by the plugin"; });
  slots.fill(t->supports, [] { return "backend: supports is not provided by the plugin"; });
  slots.fill(t->alloc, [] { return "backend: alloc is not provided by the plugin"; });
  slots.fill(t->free, [] { return "backend: free is not provided by the plugin"; });
  slots.fill(t->write, [] { return "backend: write is not provided by the plugin"; });
  slots.fill(t->read, [] { return "backend: read is not provided by the plugin"; });
  slots.fill(t->copy, [] { return "backend: copy is not provided by the plugin"; });
  slots.fill(t->compile, [] { return "backend: compile is not provided by the plugin"; });
  slots.fill(t->info, [] { return "backend: info is not provided by the plugin"; });
  slots.fill(t->release, [] { return "backend: release is not provided by the plugin"; });
  slots.fill(t->bind, [] { return "backend: bind is not provided by the plugin"; });
  slots.fill(t->unbind, [] { return "backend: unbind is not provided by the plugin"; });
  slots.fill(t->run, [] { return "backend: run is not provided by the plugin"; });
  slots.fill(t->wait, [] { return "backend: wait is not provided by the plugin"; });
}

const calm_document *empty_document(const calm_reader *) {
  static constexpr calm_document kEmpty{sizeof(calm_document), 0, {}, {}};
  return &kEmpty;
}

void fill(calm_format *t, const SlotFiller &slots) {
  slots.fill(t->probe, [] { return "format: probe is not provided by the plugin"; });
  slots.fill(t->open, [] { return "format: open is not provided by the plugin"; });
  if (t->document == nullptr) {
    // Even a stub's document is looked into.
    slots.fill(t->document, [] { return "format: document is not provided by the plugin"; });
    t->document = empty_document;
  }
  slots.fill(t->read, [] { return "format: read is not provided by the plugin"; });
  slots.fill(t->close, [] { return "format: close is not provided by the plugin"; });
  slots.fill(t->write, [] { return "format: write is not provided by the plugin"; });
}

void fill(calm_tokenizer *t, const SlotFiller &slots) {
  slots.fill(t->open, [] { return "tokenizer: open is not provided by the plugin"; });
  slots.fill(t->close, [] { return "tokenizer: close is not provided by the plugin"; });
  slots.fill(t->vocab_size, [] { return "tokenizer: vocab_size is not provided by the plugin"; });
  slots.fill(t->encode, [] { return "tokenizer: encode is not provided by the plugin"; });
  slots.fill(t->decode, [] { return "tokenizer: decode is not provided by the plugin"; });
}

void fill(calm_model *t, const SlotFiller &slots) {
  slots.fill(t->check, [] { return "model: check is not provided by the plugin"; });
  slots.fill(t->build, [] { return "model: build is not provided by the plugin"; });
}

void fill(calm_trainer *t, const SlotFiller &slots) {
  slots.fill(t->build, [] { return "trainer: build is not provided by the plugin"; });
  slots.fill(t->learning_rate,
             [] { return "trainer: learning_rate is not provided by the plugin"; });
}

void fill(calm_domain *, const SlotFiller &) {}  // import, gather_context and filter are optional

// A table of records at least as long as those of ABI 1.0, which is what we read.
template <class Record>
void check_records(const calm_table &table, std::string_view name) {
  constexpr std::uint32_t kMost = 4096;
  if (table.count == 0) {
    return;
  }
  if (table.base == nullptr || table.count > kMost || table.stride < sizeof(Record) ||
      table.stride % alignof(Record) != 0) {
    throw Error(CALM_INTERNAL,
                fmt::format("{}: expected up to {} records of at least {} bytes, found {} of {}{}",
                            name, kMost, sizeof(Record), table.count, table.stride,
                            table.base == nullptr ? " at null" : ""));
  }
}

void check_contents(const calm_operator &t) { check_records<calm_value_spec>(t.attrs, "attrs"); }
void check_contents(const calm_backend &) {}
void check_contents(const calm_format &) {}
void check_contents(const calm_tokenizer &) {}
void check_contents(const calm_model &t) {
  check_records<calm_value_spec>(t.config, "config");
  check_records<calm_preset>(t.presets, "presets");
  for (std::uint32_t i = 0; i < t.presets.count; ++i) {
    const auto &preset = record<calm_preset>(t.presets, i);
    check_records<calm_value>(preset.model, "preset");
    check_records<calm_value>(preset.training, "preset");
  }
}
void check_contents(const calm_trainer &t) { check_records<calm_value_spec>(t.options, "options"); }
void check_contents(const calm_domain &) {}

}  // namespace

template <class Table>
Table complete_table(const void *vtable, MissingSlots *missing) {
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
  fill(&table, SlotFiller(&table, size, missing));
  return table;
}

template calm_operator complete_table(const void *, MissingSlots *);
template calm_backend complete_table(const void *, MissingSlots *);
template calm_format complete_table(const void *, MissingSlots *);
template calm_tokenizer complete_table(const void *, MissingSlots *);
template calm_model complete_table(const void *, MissingSlots *);
template calm_trainer complete_table(const void *, MissingSlots *);
template calm_domain complete_table(const void *, MissingSlots *);

}  // namespace calm
