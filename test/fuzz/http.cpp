// What the example HTTP server reads. However the bytes come in pieces, the requests and the error must be the same.
#include "test/fuzz/target.hpp"

#include "test/examples/http/parser.hpp"

#include <memory>

using vole::fuzz::must_hold;
using vole::fuzz::pieces;

namespace {

/// What another program on the way may read differently is not taken: every line end is whole, and there is one way to
/// tell where the body ends.
void check_framing(std::string_view head, const http::request& r) {
    for (std::size_t i = 0; i < head.size(); ++i) {
        must_hold(head[i] != '\0', "there is no NUL in a head");
        must_hold(head[i] != '\n' || (i > 0 && head[i - 1] == '\r'), "no LF stands alone");
        must_hold(head[i] != '\r' || (i + 1 < head.size() && head[i + 1] == '\n'), "nor a CR");
    }
    int lengths = 0;
    int encodings = 0;
    int hosts = 0;
    for (const http::field& f : r.fields) {
        must_hold(!f.name.empty() && f.name.find_first_of(" \t:") == f.name.npos,
                  "a name is nothing but a name");
        hosts += http::same(f.name, "host") ? 1 : 0;
        if (http::same(f.name, "transfer-encoding")) {
            ++encodings;
            must_hold(http::same(f.value, "chunked"), "no encoding but one is known");
        } else if (http::same(f.name, "content-length")) {
            ++lengths;
            must_hold(f.value.find_first_not_of("0123456789") == f.value.npos,
                      "a length is a number");
            must_hold(std::strtoull(std::string(f.value).c_str(), nullptr, 10) == r.content_length,
                      "and the one that is taken");
        }
    }
    must_hold(lengths + encodings <= 1, "a body's end is told once");
    must_hold(r.chunked == (encodings == 1), "chunks are announced");
    must_hold(lengths == 1 || r.content_length == 0, "so is a length");
    must_hold(hosts == 1 || (hosts == 0 && r.minor_version == 0), "there is one host");
}

/// As the server's connection reads: what has come and was not used, in memory of exactly that size.
class reader {
  public:
    reader(std::string_view all, pieces p, const http::limits& most)
        : left_(all), pieces_(p), most_(most) {}

    /// All requests and what ended them, as text.
    std::string transcript() {
        std::string text;
        while (read_head() && parse(text) && read_body(text)) text += "\n";
        return text + "end " + std::to_string(static_cast<int>(error_));
    }

  private:
    std::string_view unread() const { return {here_.get(), size_}; }

    bool more() {
        if (left_.empty()) return false;
        const std::size_t n = pieces_.next(left_.size());
        keep(0, n);
        left_.remove_prefix(n);
        return true;
    }
    /// Without the first `from` bytes, and with the next n that come.
    void keep(std::size_t from, std::size_t n) {
        const std::size_t kept = size_ - from;
        std::unique_ptr<char[]> moved(new char[kept + n]);
        std::copy_n(here_.get() + from, kept, moved.get());
        std::copy_n(left_.data(), n, moved.get() + kept);
        here_ = std::move(moved);
        size_ = kept + n;
    }

    bool read_head() {
        http::head_scanner scanner;
        for (;;) {
            const auto found = scanner.scan(unread(), most_);
            error_ = found.error;
            head_ = found.size;
            must_hold(found.size <= size_, "a head is within what has come");
            if (found.error != http::status::none) return false;
            if (found.size != 0) return true;
            if (!more()) return false;
        }
    }

    bool parse(std::string& text) {
        http::request r;
        error_ = http::parse_head(unread().substr(0, head_), most_, r);
        if (error_ != http::status::none) return false;
        check_framing(unread().substr(0, head_), r);
        must_hold(r.content_length <= most_.body, "a body is within the limit");
        must_hold(r.fields.size() <= most_.fields, "fields are within the limit");
        must_hold(!r.method.empty() && !r.target.empty(), "a request asks for something");
        text += std::string(r.method) + " " + std::string(r.target) + " " + std::string(r.path()) +
                " " + std::string(r.query());
        for (const http::field& f : r.fields) {
            must_hold(f.value.find_first_of("\r\n") == f.value.npos, "a field is one line");
            text += "|" + std::string(f.name) + ":" + std::string(f.value);
        }
        text += r.keep_alive ? "|stays" : "|goes";
        if (r.expects_continue) text += "|expects";
        chunked_ = r.chunked;
        length_ = r.content_length;
        return true;
    }

    bool read_body(std::string& text) {
        std::string body;
        const std::size_t used = chunked_ ? read_chunks(body) : read_counted(body);
        must_hold(body.size() <= most_.body, "a body keeps within the limit");
        if (used == 0) return false;
        keep(used, 0);
        text += "|" + body;
        return true;
    }
    /// How much belongs to the request; 0: it is not complete.
    std::size_t read_counted(std::string& body) {
        while (size_ - head_ < length_) {
            if (!more()) return 0;
        }
        body = unread().substr(head_, length_);
        return head_ + length_;
    }
    std::size_t read_chunks(std::string& body) {
        http::chunk_decoder decoder;
        for (std::size_t at = head_;;) {
            const auto got = decoder.feed(unread().substr(at), most_, body);
            error_ = got.error;
            at += got.used;
            must_hold(at <= size_, "no more is used than has come");
            if (got.error != http::status::none) return 0;
            if (got.done) return at;
            must_hold(at == size_, "a body that goes on takes all");
            if (!more()) return 0;
        }
    }

    std::string_view left_;
    pieces pieces_;
    const http::limits& most_;
    std::unique_ptr<char[]> here_{new char[0]};
    std::size_t size_ = 0;
    std::size_t head_ = 0;
    bool chunked_ = false;
    std::size_t length_ = 0;
    http::status error_ = http::status::none;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = vole::fuzz::text_of(data, size);
    // The usual limits, and such as are reached.
    for (const http::limits& most : {http::limits{}, http::limits{64, 3, 20}}) {
        const std::string whole = reader(text, {pieces::how::whole, 0}, most).transcript();
        must_hold(reader(text, {pieces::how::bytes, 0}, most).transcript() == whole,
                  "byte by byte, the same requests");
        for (std::uint64_t seed = size; seed < size + 2; ++seed)
            must_hold(reader(text, {pieces::how::odd, seed}, most).transcript() == whole,
                      "in pieces, the same requests");
    }
    return 0;
}
