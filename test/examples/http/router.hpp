// Which handler answers which path.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "message.hpp"
#include "response.hpp"

namespace http {

using handler = std::function<void(const request&, response&)>;

class router {
  public:
    /// methods: as they stand in the Allow field, "GET, HEAD".
    void add(std::string path, std::string methods, handler h) {
        routes_.push_back({std::move(path), std::move(methods), std::move(h)});
    }

    /// Calls the handler, or answers 404, 405 or 501 itself. In the goroutine of the connection: a handler may take its
    /// time, and keeps nobody else waiting.
    void answer(const request& r, response& to) const;

  private:
    struct route {
        std::string path, methods;
        handler answer;
    };
    std::vector<route> routes_;
};

}  // namespace http
