#include "core/text/template.hpp"
#include "tests/fuzz/harness.hpp"

namespace {

using calm::text::OptionList;
using calm::text::OptionMap;
using calm::text::OptionValue;
using calm::text::Token;

// Values for the fields of a template, made of what is left of the input.
class Values {
 public:
  explicit Values(std::string_view rest) : rest_(rest) {}

  OptionMap options(const calm::text::Template &layout) {
    OptionMap options;
    for (const std::string &name : calm::text::field_names(layout)) {
      options[name] = value(layout, 0);
    }
    if (byte() % 2 == 1) {
      options["eos"] = OptionValue{true};
    }
    return options;
  }
  std::int64_t budget() { return static_cast<std::int64_t>(byte()) - 16; }

 private:
  unsigned byte() {
    if (rest_.empty()) {
      return 0;
    }
    const auto b = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return b;
  }

  OptionValue value(const calm::text::Template &layout, int depth) {
    switch (byte() % 6) {
      case 0:
        return {};
      case 1:
        return {std::int64_t{byte()} - 1};
      case 2: {
        OptionList list;
        for (unsigned n = depth > 1 ? 0 : byte() % 20; n > 0; --n) {
          list.push_back(value(layout, depth + 1));
        }
        return {list};
      }
      case 3: {
        OptionMap map;
        for (const calm::text::Element &e : layout.elements) {
          if (depth > 1) {
            break;
          }
          map[e.primary_key] = value(layout, depth + 1);
          for (const calm::text::Subtoken &s : e.subtokens) {
            map[s.field] = value(layout, depth + 1);
          }
        }
        return {map};
      }
      case 4:
        return {byte() % 2 == 1};
      default: {
        const std::size_t n = std::min<std::size_t>(byte() % 16, rest_.size());
        std::string text(rest_.substr(0, n));
        rest_.remove_prefix(n);
        return {text};
      }
    }
  }

  std::string_view rest_;
};

}  // namespace

// A template up to the first NUL, then values for its fields.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  std::string_view rest = calm::fuzz::text_of(data, size);
  const std::string_view spec = calm::fuzz::cut(rest, std::string_view("\0", 1));
  calm::fuzz::expect(!calm::text::describe_fields(spec).empty(), "a template without a listing");
  calm::fuzz::accepts(CALM_INVALID_ARGUMENT, [&] {
    const calm::text::Template layout = calm::text::parse_template(spec);
    calm::fuzz::expect(!layout.elements.empty(), "a template without an entry");
    Values values(rest);
    const OptionMap options = values.options(layout);
    for (const Token id : calm::text::build_sequence(layout, options, values.budget())) {
      calm::fuzz::expect(id >= 0 && id < calm::text::kVocabSize, "a token out of range");
    }
  });
  return 0;
}
