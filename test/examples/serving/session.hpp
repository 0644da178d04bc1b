// The connections that are being served, so that a server can end in good order: idle ones at once, busy ones when they
// have done what they are about, and the rest when the time for that is over.
//
// Locks: the set's, then a session's.
#pragma once

#include <mutex>
#include <system_error>
#include <unordered_set>

#include <vole/vole.hpp>

namespace serving {

class connection_set;

/// One connection, as the set knows it. On the stack of the goroutine that serves it; the connection lives longer.
class session {
  public:
    session(connection_set& set, vole::net::conn& conn);
    ~session();
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    /// Between two requests: the next read waits so long at most, and ends early if the server stops. False: it has
    /// stopped already, and nothing more is to be begun.
    bool begin_idle(vole::clock::duration limit) {
        const std::lock_guard lock(mutex_);
        if (stopping_) return false;
        idle_ = true;
        std::error_code ignored;
        conn_.set_read_deadline(vole::clock::now() + limit, ignored);
        return true;
    }

    /// A request is here: it may be finished, whatever happens.
    void end_idle() {
        const std::lock_guard lock(mutex_);
        idle_ = false;
    }

    bool stopping() {
        const std::lock_guard lock(mutex_);
        return stopping_;
    }

  private:
    friend class connection_set;

    void drain() {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        std::error_code ignored;
        if (idle_) conn_.set_read_deadline(vole::clock::now(), ignored);  // wakes the reader
    }

    void close() {
        std::error_code ignored;
        conn_.close(ignored);
    }

    connection_set& set_;
    vole::net::conn& conn_;
    vole::mutex mutex_;
    bool idle_ = false;
    bool stopping_ = false;
};

class connection_set {
  public:
    /// Who is idle ends now, and the others when they would become idle.
    void drain() {
        const std::lock_guard lock(mutex_);
        stage_ = stage::draining;
        for (session* s : all_) s->drain();
    }

    /// Everybody ends now: reads and writes fail with net::errc::closed.
    void close() {
        const std::lock_guard lock(mutex_);
        stage_ = stage::closed;
        for (session* s : all_) s->close();
    }

  private:
    friend class session;

    void add(session* s) {
        const std::lock_guard lock(mutex_);
        all_.insert(s);
        if (stage_ != stage::open) s->drain();
        if (stage_ == stage::closed) s->close();
    }
    void remove(session* s) {
        const std::lock_guard lock(mutex_);
        all_.erase(s);
    }

    enum class stage { open, draining, closed };

    vole::mutex mutex_;
    std::unordered_set<session*> all_;
    stage stage_ = stage::open;
};

inline session::session(connection_set& set, vole::net::conn& conn) : set_(set), conn_(conn) {
    set_.add(this);
}
inline session::~session() { set_.remove(this); }

}  // namespace serving
