#include "core/train/config_file.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>
#include <toml++/toml.h>

#include <calm/cpp/error.hpp>

#include "core/base/file.hpp"
#include "core/text/printable.hpp"
#include "core/train/config_yaml.hpp"

namespace calm::train {

namespace {

constexpr std::uint64_t kMaxConfigBytes = 1 << 20;

// Each dot of a key nests a table, and the parser and what it returns recurse through them: a long
// key would overflow the stack. No key of ours has more than one.
constexpr std::size_t kMaxDots = 16;

// Where the string that starts at `at` ends; as TOML, so that no dot outside one is missed.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  const char quote = text[at];
  const std::string three(3, quote);
  const bool multi_line = text.substr(at, 3) == three;
  at += multi_line ? 3 : 1;
  while (at < text.size()) {
    if (quote == '"' && text[at] == '\\') {
      at += 2;
    } else if (multi_line ? text.substr(at, 3) == three : text[at] == quote) {
      at += multi_line ? 3 : 1;
      // Up to two quotes of the text may stand before the closing ones.
      for (int i = 0; multi_line && i < 2 && at < text.size() && text[at] == quote; ++i) ++at;
      return at;
    } else if (!multi_line && text[at] == '\n') {
      return at;
    } else {
      ++at;
    }
  }
  return text.size();
}

// The first line, from 1, with more dots outside strings and comments than a key may have.
std::optional<std::size_t> line_too_deep(std::string_view text) {
  std::size_t line = 1, dots = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"' || c == '\'') {
      const std::size_t end = end_of_string(text, at);
      const std::string_view inside = text.substr(at, end - at);
      line += static_cast<std::size_t>(std::count(inside.begin(), inside.end(), '\n'));
      at = end;
      continue;
    }
    if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    dots = c == '\n' ? 0 : dots + (c == '.' ? 1 : 0);
    line += c == '\n' ? 1 : 0;
    if (dots > kMaxDots) return line;
    ++at;
  }
  return std::nullopt;
}

std::string shown(std::string_view text) { return text::printable(text, text::LineFeeds::kEscape); }

std::optional<OwnedValue> scalar(std::string_view name, const toml::node &node) {
  OwnedValue value;
  value.name = name;
  if (const auto *text = node.as_string()) {
    value.type = CALM_VALUE_STR;
    value.text = text->get();
  } else if (const auto *whole = node.as_integer()) {
    value.type = CALM_VALUE_I64;
    value.i64 = whole->get();
  } else if (const auto *real = node.as_floating_point()) {
    value.type = CALM_VALUE_F64;
    value.f64 = real->get();
  } else if (const auto *flag = node.as_boolean()) {
    value.type = CALM_VALUE_BOOL;
    value.i64 = flag->get() ? 1 : 0;
  } else {
    return std::nullopt;
  }
  return value;
}

std::string place(const std::string &path, const toml::source_region &source) {
  return fmt::format("{}:{}", path, source.begin.line);
}

void add(std::vector<Setting> &settings, const std::string &path, std::string_view section,
         const toml::table &table) {
  for (const auto &[key, node] : table) {
    const std::string origin = place(path, node.source());
    if (const toml::table *inner = node.as_table(); inner != nullptr && section.empty()) {
      // An empty section still has a name to check.
      if (inner->empty()) {
        continue;
      }
      add(settings, path, key.str(), *inner);
      continue;
    }
    const std::optional<OwnedValue> value = scalar(key.str(), node);
    if (!value) {
      throw Error(CALM_INVALID_ARGUMENT,
                  fmt::format("{}: {}: expected a number, a text, true or false", origin,
                              shown(key.str())));
    }
    settings.push_back({std::string(section), *value, origin});
  }
}

std::string quoted_toml(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string literal_text(const OwnedValue &value) {
  if (value.type == CALM_VALUE_STR) {
    return quoted_toml(value.text);
  }
  std::string text = run::to_text(value);
  const bool whole = text.find_first_not_of("-0123456789") == std::string::npos;
  if (value.type == CALM_VALUE_F64 && whole) {
    text += ".0";
  }
  return text;
}

void append_section(std::string &out, std::string_view name, const run::Values &values) {
  out += fmt::format("\n[{}]\n", name);
  for (const OwnedValue &v : values.list()) {
    out += fmt::format("{} = {}\n", v.name, literal_text(v));
  }
}

}  // namespace

std::vector<Setting> read_settings(const std::string &path, bool prefer_yaml) {
  const std::string text = read_text(path, kMaxConfigBytes);
  const std::string_view name = path;
  const bool yaml =
      prefer_yaml ? !name.ends_with(".toml") : name.ends_with(".yaml") || name.ends_with(".yml");
  return yaml ? parse_yaml_settings(text, path) : parse_settings(text, path);
}

std::vector<Setting> parse_settings(std::string_view text, const std::string &path) {
  if (const auto line = line_too_deep(text)) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("{}:{}: expected at most {} dots in a line, found more", path, *line,
                            kMaxDots));
  }
  std::vector<Setting> settings;
  try {
    const toml::table parsed = toml::parse(text);
    add(settings, path, "", parsed);
  } catch (const toml::parse_error &e) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("{}: not TOML: {}", place(path, e.source()), shown(e.description())));
  }
  return settings;
}

Setting parse_setting(std::string_view text, std::string_view origin) {
  const std::size_t equals = text.find('=');
  const std::string_view path = text.substr(0, std::min(equals, text.size()));
  const std::size_t dot = path.find('.');
  const std::string_view key = dot == std::string_view::npos ? path : path.substr(dot + 1);
  if (equals == std::string_view::npos || key.empty()) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("{} {}: expected SECTION.KEY=VALUE", origin, shown(text)));
  }
  const std::string_view right = text.substr(equals + 1);
  Setting setting;
  setting.section = dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
  setting.origin = origin;
  try {
    const std::string assignment = "value = " + std::string(right);
    const bool deep = line_too_deep(assignment).has_value();
    const toml::table parsed = deep ? toml::table() : toml::parse(assignment);
    if (const toml::node *node = parsed.get("value"); node != nullptr && parsed.size() == 1) {
      if (std::optional<OwnedValue> value = scalar(key, *node)) {
        setting.value = std::move(*value);
        return setting;
      }
    }
  } catch (const toml::parse_error &) {
    // Not TOML: a text without quotes.
  }
  setting.value = {std::string(key), CALM_VALUE_STR, 0, 0, std::string(right)};
  return setting;
}

bool read_number(std::string_view text, double *out) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return code == std::errc() && end == text.data() + text.size();
}

std::string config_toml(const TrainConfig &config) {
  std::string out;
  const auto line = [&out](std::string_view key, const std::string &value) {
    out += fmt::format("{} = {}\n", key, value);
  };
  line("backbone", quoted_toml(config.backbone));
  line("objective", quoted_toml(config.objective));
  line("domain", quoted_toml(config.metadata.domain));
  line("template", quoted_toml(config.metadata.template_spec));
  line("stop_conditions", quoted_toml(config.metadata.stop_conditions));
  line("seed", std::to_string(config.seed));
  if (config.max_steps) {
    line("max_steps", std::to_string(*config.max_steps));
  }
  if (config.max_seconds) {
    line("max_time", fmt::format("{}", *config.max_seconds));
  }
  line("val_every", std::to_string(config.val_every));
  line("save_every", std::to_string(config.save_every));
  line("export", config.export_weights == Export::kBest ? "\"best\"" : "\"last\"");
  line("export_ewc", config.export_ewc ? "true" : "false");
  line("precision", quoted_toml(config.precision));
  append_section(out, "model", config.model);
  append_section(out, "training", config.training);
  if (config.ewc) {
    append_section(
        out, "continual",
        run::Values::resolve(continual_keys(), continual_section(*config.ewc), "continual"));
  }
  const run::SamplerDefaults &s = config.metadata.sampler;
  out += "\n[sampler]\n";
  line("temperature", fmt::format("{}", s.temperature.value_or(0)));
  line("top_k", fmt::format("{}", s.top_k.value_or(0)));
  line("top_p", fmt::format("{}", s.top_p.value_or(0)));
  line("min_p", fmt::format("{}", s.min_p.value_or(0)));
  line("max_tokens", fmt::format("{}", s.max_tokens.value_or(0)));
  line("candidates", fmt::format("{}", s.candidates.value_or(0)));
  return out;
}

}  // namespace calm::train
