// The command line of the servers: "--name VALUE" pairs, and a text that explains them.
#pragma once

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <vole/time.hpp>

namespace serving {

class flags {
  public:
    explicit flags(std::string program) : program_(std::move(program)) {}

    /// Where a value goes to. What is there before is the default. A duration is given in seconds, "0.5" for one.
    using target = std::variant<std::string*, std::size_t*, vole::clock::duration*>;
    flags& add(std::string name, target to, std::string help) {
        all_.push_back({"--" + std::move(name), to, std::move(help)});
        return *this;
    }

    /// Bad arguments: a sentence on standard error, and exit status 2. --help: status 0.
    void parse(int argc, char** argv) const {
        for (int i = 1; i < argc; i += 2) {
            const std::string_view name = argv[i];
            if (name == "--help") usage(std::cout, 0);
            const flag* f = find(name);
            if (f == nullptr) {
                std::cerr << program_ << ": unknown option " << name << '\n';
            } else if (i + 1 == argc) {
                std::cerr << program_ << ": " << name << " needs a value\n";
            } else if (!assign(f->to, argv[i + 1])) {
                std::cerr << program_ << ": " << argv[i + 1] << " is no value for " << name << '\n';
            } else {
                continue;
            }
            usage(std::cerr, 2);
        }
    }

  private:
    struct flag {
        std::string name;
        target to;
        std::string help;
    };

    const flag* find(std::string_view name) const {
        for (const flag& f : all_)
            if (f.name == name) return &f;
        return nullptr;
    }

    template <class T>
    static bool read_number(std::string_view text, T& to) {
        const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), to);
        return error == std::errc() && stop == text.data() + text.size();
    }

    static bool assign(const target& to, std::string_view text) {
        if (auto* const* string = std::get_if<std::string*>(&to)) {
            **string = text;
            return true;
        }
        if (auto* const* size = std::get_if<std::size_t*>(&to)) return read_number(text, **size);
        double seconds = 0;
        if (!read_number(text, seconds) || !(seconds > 0 && seconds < 1e9)) return false;
        *std::get<vole::clock::duration*>(to) = std::chrono::duration_cast<vole::clock::duration>(
            std::chrono::duration<double>(seconds));
        return true;
    }

    [[noreturn]] void usage(std::ostream& out, int status) const {
        out << "usage: " << program_ << " [--NAME VALUE]...\n";
        for (const flag& f : all_) out << "  " << f.name << "  " << f.help << '\n';
        out.flush();
        std::exit(status);
    }

    std::string program_;
    std::vector<flag> all_;
};

}  // namespace serving
