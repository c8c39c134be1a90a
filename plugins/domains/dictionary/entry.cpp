#include "entry.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <common/plain.hpp>

namespace calm::dictionary {
namespace {

std::size_t optional_cost(const std::string &value) { return value.empty() ? 0 : value.size() + 1; }

std::size_t cost(const Item &item) {
  return item.text.size() + 2 + (item.kind == ItemKind::kQuote ? optional_cost(item.author) : 0);
}

// BOS WORD headword ATN … END EOS
std::size_t frame_cost(const Entry &e) {
  return 5 + e.headword.size() + optional_cost(e.pos) + optional_cost(e.note) +
         optional_cost(e.ipa);
}

bool defines(const Item &item) {
  return item.kind == ItemKind::kSense || item.kind == ItemKind::kPhrase;
}

// Marks what fits in `room`, most important kinds first. Quotes go with the item they belong to.
std::vector<bool> choose(const std::vector<Item> &items, std::size_t room) {
  std::vector<bool> chosen(items.size(), false);
  for (const ItemKind kind : {ItemKind::kSense, ItemKind::kQuote, ItemKind::kSynonyms,
                              ItemKind::kPhrase, ItemKind::kRemark}) {
    bool owner_chosen = false;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (items[i].kind != ItemKind::kQuote) {
        owner_chosen = chosen[i];
      }
      const bool wanted = items[i].kind == kind && (kind != ItemKind::kQuote || owner_chosen);
      if (wanted && cost(items[i]) <= room) {
        chosen[i] = true;
        room -= cost(items[i]);
      }
    }
  }
  return chosen;
}

bool has_definition(const std::vector<Item> &items, const std::vector<bool> &chosen) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (chosen[i] && defines(items[i])) {
      return true;
    }
  }
  return false;
}

void make_plain(Entry &entry) {
  for (std::string *text : {&entry.headword, &entry.pos, &entry.note, &entry.ipa}) {
    *text = sources::plain_text(*text);
  }
  for (Item &item : entry.items) {
    item.text = sources::plain_text(item.text);
    item.author = sources::plain_text(item.author);
  }
  const auto is_empty = [](const Item &item) { return item.text.empty(); };
  entry.items.erase(std::remove_if(entry.items.begin(), entry.items.end(), is_empty),
                    entry.items.end());
}

// Not even the shortest sense fits whole: cuts the first one.
Fit cut_first(Entry &entry, std::size_t l_max) {
  const auto first = std::find_if(entry.items.begin(), entry.items.end(), defines);
  const std::size_t frame = frame_cost(entry) + 2;
  const std::string text = first->text.substr(
      0, frame < l_max ? sources::cut_at_sentence(first->text, l_max - frame) : 0);
  if (text.empty()) {
    return Fit::kTooLong;
  }
  entry.items = {Item{first->kind, text, {}}};
  return Fit::kShortened;
}

}  // namespace

Fit fit_entry(Entry &entry, std::size_t l_max) {
  make_plain(entry);
  if (std::none_of(entry.items.begin(), entry.items.end(), defines)) {
    return Fit::kNoDefinition;
  }
  const auto chosen_within = [&] {
    const std::size_t frame = frame_cost(entry);
    return choose(entry.items, frame < l_max ? l_max - frame : 0);
  };
  bool whole = true;
  std::vector<bool> chosen = chosen_within();
  if (!has_definition(entry.items, chosen)) {
    entry.note.clear();
    whole = false;
    chosen = chosen_within();
    if (!has_definition(entry.items, chosen)) {
      return cut_first(entry, l_max);
    }
  }
  std::vector<Item> kept;
  for (std::size_t i = 0; i < entry.items.size(); ++i) {
    if (chosen[i]) {
      kept.push_back(std::move(entry.items[i]));
    }
  }
  whole = whole && kept.size() == entry.items.size();
  entry.items = std::move(kept);
  return whole ? Fit::kWhole : Fit::kShortened;
}

std::size_t token_count(const Entry &entry) {
  std::size_t count = frame_cost(entry);
  for (const Item &item : entry.items) {
    count += cost(item);
  }
  return count;
}

std::string format_entry(const Entry &entry) {
  std::string out = "<WORD>" + entry.headword + "<ATN>";
  const auto field = [&](std::string_view tag, const std::string &value) {
    if (!value.empty()) {
      out += tag;
      out += value;
    }
  };
  field("<POS>", entry.pos);
  field("<NOTE>", entry.note);
  field("<IPA>", entry.ipa);
  for (const Item &item : entry.items) {
    out += item.kind == ItemKind::kQuote ? "\n<QUOTE>" : "\n<DEF>";
    out += item.text;
    field("<BY>", item.kind == ItemKind::kQuote ? item.author : std::string());
  }
  return out;
}

}  // namespace calm::dictionary
