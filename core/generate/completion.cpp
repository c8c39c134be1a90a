#include "core/generate/completion.hpp"

#include <algorithm>
#include <utility>

#include <calm/cpp/error.hpp>
#include <calm/cpp/utf8.hpp>

#include "core/base/log.hpp"

namespace calm::generate {

namespace {

// Hostile plugins aside, no situation has more to say.
constexpr std::size_t kMaxItems = 256;

// Takes the fields of a domain, in the shapes the template gives them.
class Collector {
 public:
  explicit Collector(const text::Template &layout) : layout_(layout) {}

  void take(std::string_view field, std::string_view value) {
    for (const text::Element &element : layout_.elements) {
      if (element.field == field) {
        add(element, std::string(value));
        return;
      }
      const bool owns = std::any_of(element.subtokens.begin(), element.subtokens.end(),
                                    [&](const text::Subtoken &sub) { return sub.field == field; });
      if (owns) {
        detail(element, field, std::string(value));
        return;
      }
    }
  }

  text::OptionMap options;

 private:
  void add(const text::Element &element, std::string value) {
    text::OptionValue &option = options[element.field];
    switch (element.kind) {
      case text::ElementKind::kList:
      case text::ElementKind::kRepeated:
        append(option, {std::move(value)});
        break;
      case text::ElementKind::kRepeatedSub: {
        text::OptionMap item;
        item[element.primary_key] = {std::move(value)};
        append(option, {std::move(item)});
        break;
      }
      case text::ElementKind::kFrame:
      case text::ElementKind::kFrameSub:
        option.value = std::move(value);
        break;
      case text::ElementKind::kBare:
        break;
    }
  }

  static void append(text::OptionValue &option, text::OptionValue item) {
    if (!std::holds_alternative<text::OptionList>(option.value)) {
      option.value = text::OptionList();
    }
    auto &list = std::get<text::OptionList>(option.value);
    if (list.size() < kMaxItems) {
      list.push_back(std::move(item));
    }
  }

  // A subtoken's field: of the last item of a list, else an option of its own.
  void detail(const text::Element &element, std::string_view field, std::string value) {
    if (element.kind != text::ElementKind::kRepeatedSub) {
      options[std::string(field)].value = std::move(value);
      return;
    }
    auto *list = std::get_if<text::OptionList>(&options[element.field].value);
    if (list != nullptr && !list->empty()) {
      std::get<text::OptionMap>(list->back().value)[std::string(field)].value = std::move(value);
    }
  }

  const text::Template &layout_;
};

calm_status take_field(void *self, calm_str field, calm_str value, calm_error *error) {
  return guard(error, [&] { static_cast<Collector *>(self)->take(view(field), view(value)); });
}

// What the model wrote until it ended the frame, as far as it is whole characters.
std::string text_of(const Candidate &candidate) {
  const auto end = std::find_if(candidate.ids.begin(), candidate.ids.end(),
                                [](text::Token id) { return id >= 256; });
  std::string text = text::decode({candidate.ids.begin(), end});
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text, at);
    if (!point.valid && at + point.size == text.size()) {
      text.resize(at);  // cut off in a character
      break;
    }
    at += point.size;
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

}  // namespace

text::OptionMap gather_options(const calm_domain &domain, const calm_host *host,
                               const text::Template &layout, std::string_view cwd) {
  Collector collector(layout);
  if (domain.gather_context == nullptr) {
    return {};
  }
  try {
    call(domain.gather_context, str(cwd), static_cast<void *>(&collector), take_field, host);
  } catch (const Error &e) {
    log_warning("no context: {}", e.what());
    return {};
  }
  return std::move(collector.options);
}

std::vector<text::Token> completion_prompt(const run::LoadedModel &loaded,
                                           const calm_domain &domain, const calm_host *host,
                                           std::string_view cwd, std::string_view typed,
                                           std::int64_t max_tokens) {
  const std::string &spec = loaded.metadata.template_spec;
  if (spec.empty()) {
    std::vector<text::Token> ids = {text::kBos};
    text::append_bytes(ids, typed);
    return ids;
  }
  text::Template layout;
  try {
    layout = text::parse_template(spec);
  } catch (const Error &e) {
    throw Error(CALM_CORRUPT_DATA, std::string("template of the model: ") + e.what());
  }
  text::OptionMap options = gather_options(domain, host, layout, cwd);
  options["input"].value = std::string(typed);
  const std::int64_t l_max = loaded.model->l_max();
  const std::int64_t room = std::max<std::int64_t>(l_max - std::min(max_tokens, l_max / 2), 1);
  // The fields that come first say least of what is typed now.
  std::vector<text::Token> ids = text::build_sequence(layout, options, room);
  for (const text::Element &element : layout.elements) {
    if (static_cast<std::int64_t>(ids.size()) <= room) {
      break;
    }
    if (element.field != "input" && options.erase(element.field) > 0) {
      ids = text::build_sequence(layout, options, room);
    }
  }
  return ids;
}

std::vector<Completion> offer(const calm_domain &domain, std::string_view typed,
                              std::span<const Candidate> candidates) {
  std::vector<Completion> out;
  if (!is_printable(typed)) {
    return out;
  }
  for (const Candidate &candidate : candidates) {
    std::string suffix = text_of(candidate);
    const auto same = std::find_if(out.begin(), out.end(),
                                   [&](const Completion &c) { return c.suffix == suffix; });
    if (same != out.end()) {
      same->score = std::max(same->score, candidate.score);
      continue;
    }
    const bool fit = !suffix.empty() && is_printable(suffix) &&
                     (domain.filter == nullptr || domain.filter(str(typed), str(suffix)) != 0);
    if (fit) {
      out.push_back({std::move(suffix), candidate.score});
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const Completion &a, const Completion &b) {
    return a.score != b.score ? a.score > b.score : a.suffix < b.suffix;
  });
  return out;
}

}  // namespace calm::generate
