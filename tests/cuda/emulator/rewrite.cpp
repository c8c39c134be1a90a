// Makes C++ of a CUDA source: rewrite SOURCE RESULT. Three things are said another way, line by
// line as they were:
//   k<T><<<grid, block, ...>>>(args)     calm_emulated::launcher({file, line}, "k<T>", k<T>,
//   ...)(args) extern __shared__ T name[];          a pointer to the block's dynamic shared memory
//   __shared__ T a[n], b;                static variables, filled with 0xff once a block
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

bool in_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

class Rewriter {
 public:
  Rewriter(std::string text, std::string path) : in_(std::move(text)), path_(std::move(path)) {}

  std::string run() {
    out_ = "#line 1 \"" + path_ + "\"\n";
    while (at_ < in_.size()) {
      if (!comment() && !quoted() && !launch() && !shared()) {
        out_ += in_[at_++];
      }
    }
    return out_;
  }

 private:
  std::string_view rest() const { return std::string_view(in_).substr(at_); }

  [[noreturn]] void refuse(const std::string &what) const {
    throw std::runtime_error(path_ + ":" + std::to_string(line()) + ": " + what);
  }
  std::size_t line() const {
    const auto end = in_.begin() + static_cast<std::ptrdiff_t>(at_);
    return 1 + static_cast<std::size_t>(std::count(in_.begin(), end, '\n'));
  }

  /// Up to and with `end`, as it is.
  void copy_through(std::string_view end, std::size_t from) {
    const std::size_t found = in_.find(end, from);
    const std::size_t stop = found == std::string::npos ? in_.size() : found + end.size();
    out_ += in_.substr(at_, stop - at_);
    at_ = stop;
  }
  bool comment() {
    if (rest().starts_with("//")) {
      copy_through("\n", at_);
    } else if (rest().starts_with("/*")) {
      copy_through("*/", at_ + 2);
    } else {
      return false;
    }
    return true;
  }
  bool quoted() {
    const char mark = in_[at_];
    const bool digits = mark == '\'' && at_ > 0 && in_name(in_[at_ - 1]);  // 1'000
    if ((mark != '"' && mark != '\'') || digits) {
      return false;
    }
    do {
      const std::size_t n = in_[at_] == '\\' ? 2 : 1;
      out_ += in_.substr(at_, n);
      at_ += n;
    } while (at_ < in_.size() && in_[at_] != mark);
    out_ += mark;
    ++at_;
    return true;
  }

  /// Where the kernel's name with its template arguments begins in `out_`.
  std::size_t kernel_begin() const {
    std::size_t i = out_.size();
    while (i > 0 && is_space(out_[i - 1])) {
      --i;
    }
    if (i > 0 && out_[i - 1] == '>') {
      int depth = 0;
      do {
        --i;
        depth += out_[i] == '>' ? 1 : out_[i] == '<' ? -1 : 0;
      } while (i > 0 && depth > 0);
    }
    while (i > 0 && (in_name(out_[i - 1]) || out_[i - 1] == ':')) {
      --i;
    }
    return i;
  }

  bool launch() {
    if (!rest().starts_with("<<<")) {
      return false;
    }
    const std::size_t begin = kernel_begin();
    const std::string kernel = out_.substr(begin);
    const std::string place = std::to_string(line());
    const std::size_t close = in_.find(">>>", at_);
    if (kernel.empty() || close == std::string::npos) {
      refuse("expected kernel<<<...>>>, found <<<");
    }
    std::string name;
    for (const char c : kernel) {
      name += is_space(c) ? std::string() : std::string(1, c);
    }
    const std::string configuration = in_.substr(at_ + 3, close - at_ - 3);
    out_.resize(begin);
    out_ += "calm_emulated::launcher({\"" + path_ + "\", " + place + "}, \"" + name +
            "\", [=](auto... calm_args) { " + kernel + "(calm_args...); }, " + configuration + ")";
    at_ = close + 3;
    return true;
  }

  bool shared() {
    constexpr std::string_view kShared = "__shared__";
    constexpr std::string_view kExtern = "extern";
    if (!rest().starts_with(kShared)) {
      return false;
    }
    const std::size_t end = in_.find(';', at_);
    if (end == std::string::npos) {
      refuse("expected a declaration, found __shared__");
    }
    const std::string declared = in_.substr(at_ + kShared.size(), end - at_ - kShared.size());
    std::size_t before = out_.size();
    while (before > 0 && is_space(out_[before - 1])) {
      --before;
    }
    const bool dynamic =
        before >= kExtern.size() &&
        std::string_view(out_).substr(before - kExtern.size(), kExtern.size()) == kExtern;
    if (dynamic) {
      out_.resize(before - kExtern.size());
      out_ += dynamic_pointer(declared);
    } else {
      out_ += "static" + declared + ";";
      for (const std::string &name : names_of(declared)) {
        out_ += " calm_emulated::fresh(" + name + ");";
      }
    }
    at_ = end + 1;
    return true;
  }

  /// Of [__align__(n)] T name[].
  std::string dynamic_pointer(const std::string &declared) const {
    const std::vector<std::string> names = names_of(declared);
    const std::size_t at = declared.rfind(names.front() + "[");
    std::string type = at == std::string::npos ? std::string() : declared.substr(0, at);
    const std::size_t align = type.find("__align__");
    if (align != std::string::npos) {
      type.erase(align, type.find(')', align) + 1 - align);
    }
    if (type.empty()) {
      refuse("expected extern __shared__ T name[], found" + declared);
    }
    return type + "*const " + names.front() + " = reinterpret_cast<" + type +
           "*>(calm_emulated::dynamic_shared);";
  }

  /// The last name of each part between commas, before its [extents].
  static std::vector<std::string> names_of(const std::string &declared) {
    std::vector<std::string> names;
    std::string name;
    int depth = 0;
    for (const char c : declared + ",") {
      if (c == '(' || c == '[' || c == '<') {
        ++depth;
      } else if (c == ')' || c == ']' || c == '>') {
        --depth;
      } else if (depth == 0 && c == ',') {
        names.push_back(name.substr(name.find_last_of(' ') + 1));
        name.clear();
      } else if (depth == 0) {
        name += in_name(c) ? c : ' ';
        while (c == ' ' && name.ends_with("  ")) {
          name.pop_back();
        }
      }
    }
    return names;
  }

  std::string in_, path_, out_;
  std::size_t at_ = 0;
};

}  // namespace

int main(int argc, char **argv) {
  try {
    if (argc != 3) {
      throw std::runtime_error("expected SOURCE RESULT");
    }
    std::ifstream from(argv[1]);
    const std::string text(std::istreambuf_iterator<char>(from), {});
    std::ofstream to(argv[2]);
    to << Rewriter(text, argv[1]).run();
    if (!from || !to.flush()) {
      throw std::runtime_error(std::string("cannot rewrite ") + argv[1]);
    }
  } catch (const std::exception &e) {
    std::cerr << "rewrite: " << e.what() << '\n';
    return 1;
  }
  return 0;
}
