#include "cli/help_formatter.hpp"

#include <cstddef>
#include <string>
#include <utility>

namespace hardstop::cli {
namespace {

constexpr std::size_t width = 28;

class help_formatter : public CLI::Formatter {
 public:
  explicit help_formatter(help_text text) : text_{std::move(text)} { column_width(width); }

  std::string make_description(const CLI::App*) const override { return text_.about + "\n\n"; }

  std::string make_usage(const CLI::App*, std::string name) const override {
    return "Usage: " + name + " [OPTION]... " + text_.words + '\n';
  }

  // The parser's own puts the value of a flag that stands alone behind its name: "--json{-}".
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    auto name = CLI::Formatter::make_option_name(option, is_positional);
    if (const auto brace = name.find('{'); brace != std::string::npos) {
      name = name.substr(0, brace) + "[=FILE]";
    }
    return name;
  }

  // " DURATION" and no more: whether an option is needed, its description says.
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_size() == 0 ? "" : ' ' + option->get_type_name();
  }

  std::string make_footer(const CLI::App* app) const override {
    const auto footer = app->get_footer();
    return footer.empty() ? "" : footer + '\n';
  }

 private:
  help_text text_;
};

}  // namespace

std::shared_ptr<CLI::Formatter> make_help_formatter(help_text text) {
  return std::make_shared<help_formatter>(std::move(text));
}

}  // namespace hardstop::cli
