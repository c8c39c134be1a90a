#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/search/index.hpp"
#include "tests/core/temp_folder.hpp"

// A small index made without a model.
namespace calm::search_test {

inline search::ModelInfo model_info() {
  return {std::string(64, 'a'), "/models/small.cwgt", 4, "mean"};
}

/// Three passages of two documents, with vectors along the axes.
class SmallIndex {
 public:
  SmallIndex() : path_(folder_.path("small.idx")) {
    search::Index index(path_, search::Database::Access::kCreate);
    index.set_model(model_info());
    index.add({"/doc/fruit.txt", "fruit.txt", "text", 1, 100, std::string(64, '1')},
              std::vector<search::Passage>{
                  {"Trees", "fruit.txt Trees", "An apple tree.", search::Span{10, 24}},
                  {"Trees", "fruit.txt Trees", "Many pear trees in a row.", search::Span{30, 55}}},
              std::vector<float>{1, 0, 0, 0, 0, 1, 0, 0});
    index.add({"/doc/pairs.txt", "pairs.txt", "pairs", 2, 200, std::string(64, '2')},
              std::vector<search::Passage>{{"what is a plum", "", "A plum is a fruit.", {}}},
              std::vector<float>{0, 0, 0.6F, 0.8F});
    index.commit();
  }

  const std::string &path() const { return path_; }
  const calm_test::TempFolder &folder() const { return folder_; }
  search::Index open() const { return {path_, search::Database::Access::kRead}; }
  search::Index change() const { return {path_, search::Database::Access::kWrite}; }

 private:
  calm_test::TempFolder folder_;
  std::string path_;
};

/// Every byte of an index read the ways a search reads it.
inline void read_everything(const std::string &path) {
  const search::Index index(path, search::Database::Access::kRead);
  index.totals();
  index.documents();
  index.each_text([&index](std::int64_t id, std::string_view) { index.passage(id); });
  for (const char *word : {"\"apple\"", "\"tree\" OR \"fruit\"", "\"plum\""}) {
    for (const search::Hit &hit : index.match(word, 100)) {
      index.passage(hit.passage);
    }
  }
  if (index.model()) {
    std::vector<std::int64_t> ids;
    std::vector<float> rows;
    index.read_vectors(0, 1000, ids, rows);
    for (const std::int64_t id : ids) {
      index.passage(id);
    }
  }
}

}  // namespace calm::search_test
